import { describe, expect, it } from 'vitest'
import type { BlockText } from './support/attention-text.ts'
import { opsOf, siteOf, verdictOf } from './support/attention-text.ts'

const m = 'm = ReduceMax <axes = [-1]> (s)'
const shifted = `${m} d = Sub (s, m) e = Exp (d)`
const sum = 't = ReduceSum (e, last)'

describe('spellings of softmax', () => {
  const cases: [name: string, spelling: string, part: BlockText][] = [
    ['Softmax', 'softmax', {}],
    ['Softmax on a positive axis', 'softmax', { normalise: 'p = Softmax <axis = 3> (s)' }],
    ['Softmax at opset 11 on the last axis', 'softmax', { opset: 11, normalise: 'p = Softmax <axis = 3> (s)' }],
    [
      'Softmax in other precision',
      'softmax',
      { normalise: 'f = Cast <to = 1> (s) g = Softmax (f) p = Cast <to = 10> (g)' },
    ],
    ['Softmax over shifted scores', 'softmax', { normalise: `${m} d = Sub (s, m) p = Softmax (d)` }],
    ['Exp, ReduceSum, Div', 'exp-sum-div', { normalise: `e = Exp (s) ${sum} p = Div (e, t)` }],
    ['the same shifted by the maximum', 'exp-sum-div', { normalise: `${shifted} ${sum} p = Div (e, t)` }],
    [
      'a shift by adding the negated maximum',
      'exp-sum-div',
      { normalise: `${m} n = Neg (m) d = Add (n, s) e = Exp (d) ${sum} p = Div (e, t)` },
    ],
    [
      'a product with the Reciprocal',
      'exp-sum-div',
      { normalise: `${shifted} ${sum} r = Reciprocal (t) p = Mul (r, e)` },
    ],
    ['a product with 1 / sum', 'exp-sum-div', { normalise: `${shifted} ${sum} r = Div (one, t) p = Mul (e, r)` }],
    [
      'a sum guarded by an epsilon',
      'exp-sum-div',
      { weights: 'float tiny = {0.000001}', normalise: `${shifted} ${sum} u = Add (t, tiny) p = Div (e, u)` },
    ],
    [
      'a sum without kept axes',
      'exp-sum-div',
      { normalise: `${shifted} t = ReduceSum <keepdims = 0> (e, last) u = Unsqueeze (t, last) p = Div (e, u)` },
    ],
    [
      'a sum spelled ReduceL1',
      'exp-sum-div',
      { normalise: `${shifted} t = ReduceL1 <axes = [-1]> (e) p = Div (e, t)` },
    ],
    [
      'a maximum guarded against -inf',
      'exp-sum-div',
      { normalise: `${m} i = IsInf (m) w = Where (i, zero, m) d = Sub (s, w) e = Exp (d) ${sum} p = Div (e, t)` },
    ],
    ['exponentials divided by their norm', 'exp-norm', { normalise: 'e = Exp (s) p = LpNormalization <p = 1> (e)' }],
    [
      'shifted exponentials divided by their norm',
      'exp-norm',
      { normalise: `${shifted} p = LpNormalization <axis = 3, p = 1> (e)` },
    ],
    [
      'powers of e',
      'exp-sum-div',
      { weights: 'float euler = {2.7182817}', normalise: `e = Pow (euler, s) ${sum} p = Div (e, t)` },
    ],
    ['Exp of LogSoftmax', 'exp-log-softmax', { normalise: 'l = LogSoftmax <axis = -1> (s) p = Exp (l)' }],
    [
      'Exp of x - ReduceLogSumExp',
      'exp-minus-lse',
      { normalise: 'l = ReduceLogSumExp <axes = [-1]> (s) d = Sub (s, l) p = Exp (d)' },
    ],
    [
      'Exp of x - Log of the sum',
      'exp-minus-lse',
      { normalise: `e = Exp (s) ${sum} l = Log (t) d = Sub (s, l) p = Exp (d)` },
    ],
    [
      'Exp of x - (max + Log of the shifted sum)',
      'exp-minus-lse',
      { normalise: `${shifted} ${sum} l = Log (t) u = Add (m, l) f = Sub (s, u) p = Exp (f)` },
    ],
  ]
  for (const [name, spelling, part] of cases) {
    it(`sees ${name}`, () => {
      const site = siteOf(part)
      expect([verdictOf(site), site.spelling, site.axis, site.sink.kind]).toEqual(['attention', spelling, -1, 'none'])
      expect(site.output.name).toMatch(/^(p|g)$/)
      expect(site.input?.name).toMatch(/^(s|f)$/)
      expect(opsOf(site.scorePath).slice(0, 2)).toEqual(['Mul', 'Add'])
    })
  }
})

describe('softmax that divides after the product with values', () => {
  const cases: [name: string, part: BlockText][] = [
    ['at once', { normalise: `${shifted} ${sum}`, context: 'c0 = MatMul (e, v) c = Div (c0, t)' }],
    [
      'by a reciprocal',
      { normalise: `${shifted} ${sum} r = Div (one, t)`, context: 'c0 = MatMul (e, v) c = Mul (r, c0)' },
    ],
    [
      'through other layouts',
      {
        normalise: `${shifted} t = ReduceSum <keepdims = 0> (e, last) t1 = Transpose <perm = [0, 2, 1]> (t) t2 = Unsqueeze (t1, last)`,
        context:
          'c0 = Einsum <equation = "bhqk,bhkd->bqhd"> (e, v) c9 = Div (c0, t2) c = Transpose <perm = [0, 2, 1, 3]> (c9)',
      },
    ],
  ]
  it.each(cases)('is seen: %s', (_, part) => {
    const site = siteOf(part)
    expect([verdictOf(site), site.spelling, site.output.name, site.input?.name]).toEqual([
      'attention',
      'exp-product-div',
      'e',
      's',
    ])
    expect(site.context?.name).toBe('c0')
  })

  it('is Softmax1 where its denominator has the extra term', () => {
    const site = siteOf({
      normalise: `e = Exp (s) ${sum} u = Add (t, one)`,
      context: 'c0 = MatMul (e, v) c = Div (c0, u)',
    })
    expect([verdictOf(site), site.spelling, site.sink.kind]).toEqual([
      'already-softmax1',
      'softmax1-product-div',
      'zero',
    ])
  })
})

describe('spellings of Softmax1', () => {
  const clamp = 'r = ReduceMax <axes = [-1]> (s) m = Max (r, zero)'
  const body = 'd = Sub (s, m) e = Exp (d) t = ReduceSum (e, last)'
  const minus = 'n = Neg (m) f = Exp (n)'
  const end = 'u = Add (t, f) p = Div (e, u)'
  const zeroRow = (name: string): string => `
    ${name}0 = MatMul (x, w${name}) ${name}z = Pad (${name}0, rowPads) ${name}1 = Reshape (${name}z, split) ${name}2 = Transpose <perm = [0, 2, 1, 3]> (${name}1)`
  const rowPads = 'int64[6] rowPads = {0, 0, 0, 0, 1, 0}, int64[8] columnPads = {0, 0, 0, 0, 0, 0, 0, 1}'
  const maskedScores = (mask: string): string =>
    `${mask} kt = Transpose <perm = [0, 1, 3, 2]> (k) s0 = MatMul (q, kt) s1 = Mul (s0, scale) s = Add (s1, wide)`
  const keyed = { k: `${zeroRow('k')} k = Identity (k2)`, v: `${zeroRow('v')} v = Identity (v2)` }
  const slice = 'int64[1] start = {0}, int64[1] end = {-1}'
  const padded = 'a = Pad (s, columnPads) b = Softmax (a) p = Slice (b, start, end, last)'

  const cases: [name: string, spelling: string, sink: unknown, part: BlockText][] = [
    ['the reference formula', 'softmax1-primitives', 0, { normalise: `${m} ${body} ${minus} ${end}` }],
    [
      'the reference formula with Mul by -1',
      'softmax1-primitives',
      0,
      { normalise: `${m} ${body} n = Mul (m, minusOne) f = Exp (n) u = Add (f, t) p = Div (e, u)` },
    ],
    [
      'the reference formula with 1 / exp(m)',
      'softmax1-primitives',
      0,
      { normalise: `${m} ${body} n = Exp (m) f = Reciprocal (n) ${end}` },
    ],
    [
      'the naive formula',
      'softmax1-primitives',
      0,
      { normalise: `e = Exp (s) ${sum} u = Add (t, one) p = Div (e, u)` },
    ],
    ['a maximum clamped by Max', 'softmax1-primitives', 0, { normalise: `${clamp} ${body} ${minus} ${end}` }],
    [
      'a maximum clamped by Relu',
      'softmax1-primitives',
      0,
      { normalise: `r = ReduceMax <axes = [-1]> (s) m = Relu (r) ${body} ${minus} ${end}` },
    ],
    [
      'a maximum clamped by Clip',
      'softmax1-primitives',
      0,
      { normalise: `r = ReduceMax <axes = [-1]> (s) m = Clip (r, zero) ${body} ${minus} ${end}` },
    ],
    [
      'exp(s - m) with a sink of 0',
      'softmax1-primitives',
      0,
      { normalise: `${clamp} ${body} n = Sub (zero, m) f = Exp (n) ${end}` },
    ],
    [
      'exp(s - m) with another sink',
      'softmax1-primitives',
      [-2],
      { weights: 'float sink = {-2}', normalise: `${clamp} ${body} n = Sub (sink, m) f = Exp (n) ${end}` },
    ],
    [
      'a constant in an unshifted denominator',
      'softmax1-primitives',
      [Math.log(4)],
      { weights: 'float four = {4}', normalise: `e = Exp (s) ${sum} u = Add (t, four) p = Div (e, u)` },
    ],
    [
      'exp(x - softplus(logsumexp))',
      'exp-minus-lse',
      0,
      { normalise: 'l = ReduceLogSumExp <axes = [-1]> (s) o = Softplus (l) d = Sub (s, o) p = Exp (d)' },
    ],
    [
      'exp(x - logsumexp) over one more column',
      'exp-minus-lse',
      [-2],
      {
        weights: `${rowPads}, float sink = {-2}`,
        normalise: 'w = Pad (s, columnPads, sink) l = ReduceLogSumExp <axes = [-1]> (w) d = Sub (s, l) p = Exp (d)',
      },
    ],
    [
      'exp(x - (max + log of the sum)) over one more column',
      'exp-minus-lse',
      0,
      {
        weights: rowPads,
        normalise:
          'w = Pad (s, columnPads) r = ReduceMax <axes = [-1]> (w) d = Sub (w, r) e = Exp (d) t = ReduceSum (e, last) h = Log (t) l = Add (r, h) f = Sub (s, l) p = Exp (f)',
      },
    ],
    [
      'exp(x - logaddexp(logsumexp, 0))',
      'exp-minus-lse',
      0,
      {
        normalise:
          'l = ReduceLogSumExp <axes = [-1]> (s) e = Exp (l) a = Add (e, one) z = Log (a) d = Sub (s, z) p = Exp (d)',
      },
    ],
    [
      'softmax times sigmoid(logsumexp)',
      'softmax-times-sigmoid',
      0,
      { normalise: 'a = Softmax (s) l = ReduceLogSumExp <axes = [-1]> (s) g = Sigmoid (l) p = Mul (a, g)' },
    ],
    [
      'a context times sigmoid(logsumexp)',
      'softmax-late-sigmoid',
      0,
      {
        normalise: 'p = Softmax (s) l = ReduceLogSumExp <axes = [-1]> (s) g = Sigmoid (l)',
        context: 'c0 = MatMul (p, v) c = Mul (c0, g)',
      },
    ],
    [
      'sigmoid(max - log of the peak)',
      'softmax-times-sigmoid',
      0,
      {
        normalise: `a = Softmax (s) ${m} h = ReduceMax <axes = [-1]> (a) l = Log (h) d = Sub (m, l) g = Sigmoid (d) p = Mul (a, g)`,
      },
    ],
    [
      'a padded column that is sliced off',
      'softmax1-pad-slice',
      0,
      { weights: `${rowPads}, ${slice}`, normalise: padded },
    ],
    [
      'a padded column of another logit',
      'softmax1-pad-slice',
      [-2],
      {
        weights: `${rowPads}, ${slice}, float sink = {-2}`,
        normalise: padded.replace('columnPads)', 'columnPads, sink)'),
      },
    ],
    [
      'a first column that is sliced off',
      'softmax1-pad-slice',
      0,
      {
        weights:
          'int64[8] columnPads = {0, 0, 0, 1, 0, 0, 0, 0}, int64[1] start = {1}, int64[1] end = {9223372036854775807}',
        normalise: padded,
      },
    ],
    [
      'a zero column joined to the scores',
      'softmax1-pad-slice',
      0,
      {
        weights: slice,
        normalise:
          'h = Shape <start = 0, end = 3> (s) h1 = Concat <axis = 0> (h, oneAxis) z = ConstantOfShape (h1) a = Concat <axis = -1> (s, z) b = Softmax (a) p = Slice (b, start, end, last)',
        before: 'oneAxis = Constant <value_ints = [1]> ()',
      },
    ],
    [
      'a padded column whose value is zero',
      'softmax1-pad-value',
      0,
      { weights: rowPads, normalise: 'a = Pad (s, columnPads) p = Softmax (a)', v: keyed.v },
    ],
    [
      'a zero key and value',
      'zero-key',
      0,
      { ...keyed, weights: rowPads, scores: maskedScores('wide = Pad (mask, columnPads)') },
    ],
    [
      'a zero key with a mask of another logit',
      'zero-key',
      [-2],
      {
        ...keyed,
        weights: `${rowPads}, float sink = {-2}`,
        scores: maskedScores('wide = Pad (mask, columnPads, sink)'),
      },
    ],
    [
      'a zero key with a sink a head',
      'zero-key',
      [-2, 0, 1, 3],
      {
        ...keyed,
        weights: `${rowPads}, float[1, 4, 1, 1] sink = {-2, 0, 1, 3}`,
        scores:
          'all = Constant <value_ints = [1, 4, 1, 1]> () many = Expand (mask, all) shape = Shape <start = 0, end = 1> (x) four = Constant <value_ints = [4, 1, 1]> () whole = Concat <axis = 0> (shape, four) column = Expand (sink, whole) wide = Concat <axis = -1> (many, column) kt = Transpose <perm = [0, 1, 3, 2]> (k) s0 = MatMul (q, kt) s1 = Mul (s0, scale) s = Add (s1, wide)',
      },
    ],
    [
      'a zero key in front',
      'zero-key',
      0,
      {
        ...keyed,
        weights: 'int64[6] rowPads = {0, 1, 0, 0, 0, 0}, int64[8] columnPads = {0, 0, 0, 1, 0, 0, 0, 0}',
        scores: maskedScores('wide = Pad (mask, columnPads)'),
      },
    ],
    ['our own operator', 'internal', 0, { normalise: 'p = outeffhop.Softmax1 <axis = -1> (s)' }],
    [
      'our own operator with a sink',
      'internal',
      [-2],
      { weights: 'float sink = {-2}', normalise: 'p = outeffhop.Softmax1 <axis = -1> (s, sink)' },
    ],
  ]
  for (const [name, spelling, sink, part] of cases) {
    it(`sees ${name}`, () => {
      const site = siteOf(part)
      const kind = sink === 0 ? { kind: 'zero' } : { kind: 'constant', value: sink }
      expect([verdictOf(site), site.spelling, site.sink]).toEqual(['already-softmax1', spelling, kind])
      expect(site.scores[0]?.node.opType).toBe('MatMul')
    })
  }

  it('does not take padded keys that a mask hides for a sink', () => {
    const hidden = {
      ...keyed,
      weights: `${rowPads}, float fill = {-10000}`,
      scores: maskedScores('wide = Pad (mask, columnPads, fill)'),
    }
    expect(verdictOf(siteOf(hidden))).toBe('attention')
    const several = {
      ...keyed,
      inputs: 'float[B, 1, 1, T] wide',
      weights: rowPads.replace('0, 0, 0, 0, 1, 0', '0, 0, 0, 0, 5, 0'),
      scores: maskedScores(''),
    }
    expect(verdictOf(siteOf(several))).toBe('attention')
    expect(verdictOf(siteOf({ ...several, weights: rowPads }))).toBe('review:unknown-sink')
  })

  it('reads the column of a mask that is stored with the model', () => {
    const fixed = (mask: string): BlockText => ({
      ...keyed,
      weights: rowPads,
      scores: `wide = Constant <value = float[1, 1, 2, 4] {${mask}}> () kt = Transpose <perm = [0, 1, 3, 2]> (k) s0 = MatMul (q, kt) s1 = Mul (s0, scale) s = Add (s1, wide)`,
    })
    expect(siteOf(fixed('0, -9, -9, 0, 0, 0, -9, 0')).sink).toEqual({ kind: 'zero' })
    expect(siteOf(fixed('0, -9, -9, -2, 0, 0, -9, -2')).sink).toEqual({ kind: 'constant', value: [-2] })
    expect(verdictOf(siteOf(fixed('0, -9, -9, -2, 0, 0, -9, -1')))).toBe('review:unknown-sink')
  })

  it('tells a learned sink by its column of parameters', () => {
    const site = siteOf({
      weights: `${slice}, float[1, 4, 1, 1] sinks = ..., int64[3] four = {4, 1, 1}`,
      normalise:
        'n = Shape <start = 0, end = 1> (x) l = Shape <start = 2, end = 3> (s) o = Constant <value_ints = [4]> () o1 = Constant <value_ints = [1]> () w = Concat <axis = 0> (n, o, l, o1) z = Expand (sinks, w) a = Concat <axis = -1> (s, z) r = ReduceMax <axes = [-1]> (a) d = Sub (a, r) b = Softmax (d) g = Cast <to = 1> (b) p = Slice (g, start, end, last)',
    })
    expect([verdictOf(site), site.sink]).toEqual(['learned-sink:learned-sink', { kind: 'learned' }])
  })

  const perHead = 'float[1, 4, 1, 1] sink = {-2, 0, 1, 3}'
  const learned: [name: string, part: BlockText][] = [
    ['exp(s - m)', { normalise: `${clamp} ${body} n = Sub (sink, m) f = Exp (n) ${end}` }],
    [
      'exp(s - m) with parameters of one axis',
      {
        weights: 'float[4] flat = {-2, 0, 1, 3}, int64[4] heads = {1, 4, 1, 1}',
        normalise: `sink = Reshape (flat, heads) m0 = ReduceMax <axes = [-1]> (s) h = Max (m0, sink) ${body.replace('m)', 'h)')} n = Sub (sink, h) f = Exp (n) ${end}`,
      },
    ],
    ['exp(s), not shifted', { normalise: `e = Exp (s) ${sum} f = Exp (sink) u = Add (t, f) p = Div (e, u)` }],
    [
      'a constant of every head in an unshifted denominator',
      {
        weights: 'float[1, 4, 1, 1] extra = {1, 2, 3, 4}',
        normalise: `e = Exp (s) ${sum} u = Add (t, extra) p = Div (e, u)`,
      },
    ],
    [
      'softmax times sigmoid(logsumexp - s)',
      {
        normalise:
          'a = Softmax (s) l = ReduceLogSumExp <axes = [-1]> (s) d = Sub (l, sink) g = Sigmoid (d) p = Mul (a, g)',
      },
    ],
    [
      'a context times sigmoid(logsumexp - s)',
      {
        normalise: 'p = Softmax (s) l = ReduceLogSumExp <axes = [-1]> (s) d = Sub (l, sink) g = Sigmoid (d)',
        context: 'c0 = MatMul (p, v) c = Mul (c0, g)',
      },
    ],
  ]
  it.each(learned)('tells a learned sink of every head by its parameters: %s', (_, part) => {
    const site = siteOf({ weights: perHead, ...part })
    expect([verdictOf(site), site.sink]).toEqual(['learned-sink:learned-sink', { kind: 'learned' }])
  })

  it('does not take a learned extra key for a sink', () => {
    const site = siteOf({
      weights:
        'float[1, 1, 16] biasK = ..., float[1, 1, 16] biasV = ..., int64[8] columnPads = {0, 0, 0, 0, 0, 0, 0, 1}',
      before:
        'n = Shape <start = 0, end = 1> (x) o = Constant <value_ints = [1, 16]> () w = Concat <axis = 0> (n, o) bk = Expand (biasK, w) bv = Expand (biasV, w)',
      k: 'k0 = MatMul (x, wk) kz = Concat <axis = 1> (k0, bk) k1 = Reshape (kz, split) k = Transpose <perm = [0, 2, 1, 3]> (k1)',
      v: 'v0 = MatMul (x, wv) vz = Concat <axis = 1> (v0, bv) v1 = Reshape (vz, split) v = Transpose <perm = [0, 2, 1, 3]> (v1)',
      scores:
        'wide = Pad (mask, columnPads) kt = Transpose <perm = [0, 1, 3, 2]> (k) s0 = MatMul (q, kt) s1 = Mul (s0, scale) s = Add (s1, wide)',
    })
    expect(verdictOf(site)).toBe('attention')
  })

  it('does not take a zero key with a value for a sink', () => {
    const site = siteOf({
      weights: rowPads,
      k: keyed.k,
      v: 'v0 = MatMul (x, wv) vz = Pad (v0, rowPads, one) v1 = Reshape (vz, split) v = Transpose <perm = [0, 2, 1, 3]> (v1)',
      scores: maskedScores('wide = Pad (mask, columnPads)'),
    })
    expect(verdictOf(site)).toBe('attention')
  })

  it("names GERM's variant, whose 1 is not shifted", () => {
    const site = siteOf({ normalise: `${shifted} ${sum} u = Add (t, one) p = Div (e, u)` })
    expect(verdictOf(site)).toBe('rejected:unshifted-one')
  })

  it('asks for a review when the denominator holds something unknown', () => {
    const site = siteOf({
      inputs: 'float[B, 1, S, 1] extra',
      normalise: `e = Exp (s) ${sum} u = Add (t, extra) p = Div (e, u)`,
    })
    expect(verdictOf(site)).toBe('review:unknown-denominator')
  })

  it('asks for a review when exponentials are masked', () => {
    const site = siteOf({
      inputs: 'float[B, 1, 1, S] keep',
      normalise: `${shifted} w = Mul (e, keep) t = ReduceSum (w, last) p = Div (w, t)`,
    })
    expect(verdictOf(site)).toBe('review:masked-exponentials')
  })
})

describe('what stands between probabilities and values', () => {
  const cases: [name: string, part: BlockText][] = [
    ['clipping', { normalise: 'a = Softmax (s) b = Mul (a, scale) d = Add (b, minusOne) p = Clip (d, zero, one)' }],
    [
      'renormalising after a mask',
      {
        inputs: 'float[B, 1, 1, S] keep',
        normalise: 'a = Softmax (s) b = Mul (a, keep) t = ReduceSum (b, last) p = Div (b, t)',
      },
    ],
    ['a guard against NaN', { normalise: 'a = Softmax (s) i = IsNaN (a) p = Where (i, zero, a)' }],
    ['gating by data', { inputs: 'float[B, 1, S, S] gate', normalise: 'a = Softmax (s) p = Mul (gate, a)' }],
    ['Dropout', { normalise: 'a = Softmax (s) p = Dropout (a)' }],
    [
      'quantization',
      {
        weights: 'float step = {0.004}, uint8 origin = {0}',
        normalise: 'a = Softmax (s) b = QuantizeLinear (a, step, origin) p = DequantizeLinear (b, step, origin)',
      },
    ],
    [
      'mixing of heads by a projection',
      {
        weights: 'float[4, 4] mix = ...',
        normalise:
          'a = Softmax (s) b = Transpose <perm = [0, 2, 3, 1]> (a) d = MatMul (b, mix) p = Transpose <perm = [0, 3, 1, 2]> (d)',
      },
    ],
    [
      'mixing of heads by a convolution',
      { weights: 'float[4, 4, 1, 1] mix = ...', normalise: 'a = Softmax (s) p = Conv (a, mix)' },
    ],
    [
      'normalisation over heads',
      {
        weights: 'float[4] g = ..., float[4] h = ..., float[4] i = ..., float[4] j = ...',
        normalise: 'a = Softmax (s) p = BatchNormalization (a, g, h, i, j)',
      },
    ],
  ]
  for (const [name, part] of cases) it(`passes ${name}`, () => expect(verdictOf(siteOf(part))).toBe('attention'))
})

it('does not take a softmax for Softmax1 when only one of its contexts is scaled by sigmoid(logsumexp)', () => {
  const site = siteOf({
    normalise: 'p = Softmax (s) l = ReduceLogSumExp <axes = [-1]> (s) g = Sigmoid (l)',
    context: 'c0 = MatMul (p, v) c1 = Mul (c0, g) c2 = MatMul (p, k) c = Add (c1, c2)',
  })
  expect(verdictOf(site)).toBe('attention')
})
