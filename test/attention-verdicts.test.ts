import { describe, expect, it } from 'vitest'
import type { BlockText } from './support/attention-text.ts'
import { blockText, opsOf, siteOf, sitesOf, verdictOf } from './support/attention-text.ts'

/** A graph over x [B, S, 16] and more, with weights by name; the nodes end in y. */
function graph(nodes: string, { inputs = '', weights = '', opset = 17, outputs = '' } = {}): string {
  return `<ir_version: 8, opset_import: ["" : ${opset}, "com.microsoft" : 1]>
    g (float[B, S, 16] x${inputs && `, ${inputs}`}) => (float y${outputs && `, ${outputs}`})
    <float[16, 16] w = ..., float[16, 16] u = ..., float[16, 16] t = ..., float[16, 1] one = ..., int64[1] last = {-1}${weights && `, ${weights}`}> { ${nodes} }`
}
const verdicts = (text: string, policies = {}): string[] => sitesOf(text, policies).map(verdictOf)
const qkv = 'q = MatMul (x, w) k = MatMul (x, u) v = MatMul (x, t)'

describe('attention in other clothes', () => {
  const cases: Record<string, string> = {
    'keys first, softmax over axis -2': graph(
      `${qkv} qt = Transpose <perm = [0, 2, 1]> (q) s = MatMul (k, qt) p = Softmax <axis = -2> (s) pt = Transpose <perm = [0, 2, 1]> (p) y = MatMul (pt, v)`,
    ),
    'probabilities on the right': graph(
      `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) p = Softmax (s) pt = Transpose <perm = [0, 2, 1]> (p) vt = Transpose <perm = [0, 2, 1]> (v) y = MatMul (vt, pt)`,
    ),
    'Einsum with named axes and spaces': graph(
      `${qkv} s = Einsum <equation = "b i d, b j d -> b i j"> (q, k) p = Softmax (s) y = Einsum <equation = "b i j, b j d -> b i d"> (p, v)`,
    ),
    'Einsum with and without an output, with an ellipsis': graph(
      `${qkv} s = Einsum <equation = "...id,...jd"> (q, k) p = Softmax (s) y = Einsum <equation = "...ij,...jd->...id"> (p, v)`,
    ),
    'Einsum with keys as the first operand': graph(
      `${qkv} s = Einsum <equation = "bjd,bid->bij"> (k, q) p = Softmax (s) y = Einsum <equation = "bjd,bij->bid"> (v, p)`,
    ),
    'grouped heads in five dimensions': graph(
      `${qkv} q5 = Reshape (q, grouped) k4 = Reshape (k, shared) v4 = Reshape (v, shared) s = Einsum <equation = "bqkgd,bskd->bkgqs"> (q5, k4) p = Softmax (s) y = Einsum <equation = "bkgqs,bskd->bqkgd"> (p, v4)`,
      { weights: 'int64[5] grouped = {0, 0, 4, 1, 4}, int64[4] shared = {0, 0, 4, 4}' },
    ),
    FusedMatMul: graph(
      `${qkv} s = com.microsoft.FusedMatMul <transB = 1, alpha = 0.25> (q, k) p = Softmax (s) y = com.microsoft.FusedMatMul (p, v)`,
    ),
    'products and sums, one query': graph(
      'q = MatMul (h, w) k = MatMul (x, u) q3 = Unsqueeze (q, middle) z = Mul (q3, k) s = ReduceSum <keepdims = 0> (z, last) p = Softmax <axis = 1> (s) p3 = Unsqueeze (p, last) c = Mul (p3, x) y = ReduceSum <keepdims = 0> (c, middle)',
      { inputs: 'float[B, 16] h', weights: 'int64[1] middle = {1}' },
    ),
    'a learned query that is repeated and projected': graph(
      'n = Shape <start = 0, end = 1> (x) e = Concat <axis = 0> (n, tail) l = Expand (latent, e) q = MatMul (l, w) k = MatMul (x, u) v = MatMul (x, t) kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) p = Softmax (s) y = MatMul (p, v)',
      { weights: 'float[1, 5, 16] latent = ..., int64[2] tail = {5, 16}' },
    ),
    'queries, keys and values all learned, as in the first decoder layer of DETR': graph(
      'n = Shape <start = 0, end = 1> (x) e = Concat <axis = 0> (n, tail) l = Expand (latent, e) q = MatMul (l, w) k = MatMul (l, u) v = MatMul (l, t) kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) p = Softmax (s) c = MatMul (p, v) m = ReduceMean (x) y = Add (c, m)',
      { weights: 'float[1, 5, 16] latent = ..., int64[2] tail = {5, 16}' },
    ),
    'the sum of content and relative scores': graph(
      `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) a = MatMul (q, kt) b = MatMul (q, rel) r = GatherElements <axis = -1> (b, at) s = Add (a, r) p = Softmax (s) y = MatMul (p, v)`,
      { inputs: 'int64[B, S, S] at', weights: 'float[16, 9] rel = ...' },
    ),
    'heads mixed before softmax': graph(
      'q = Reshape (x, h) k = Reshape (z, h) q4 = Transpose <perm = [0, 2, 1, 3]> (q) k4 = Transpose <perm = [0, 2, 3, 1]> (k) a = MatMul (q4, k4) b = Transpose <perm = [0, 2, 3, 1]> (a) c = MatMul (b, mix) s = Transpose <perm = [0, 3, 1, 2]> (c) p = Softmax (s) v4 = Transpose <perm = [0, 2, 1, 3]> (k) y = MatMul (p, v4)',
      { inputs: 'float[B, T, 16] z', weights: 'float[4, 4] mix = ..., int64[4] h = {0, 0, 4, 4}' },
    ),
    'scores joined from a cache and new keys, values split': graph(
      `${qkv} ct = Transpose <perm = [0, 2, 1]> (ck) kt = Transpose <perm = [0, 2, 1]> (k) a = MatMul (q, ct) b = MatMul (q, kt) s = Concat <axis = -1> (a, b) p = Softmax (s) p1, p2 = Split <axis = -1> (p, sizes) c1 = MatMul (p1, cv) c2 = MatMul (p2, v) y = Add (c1, c2)`,
      { inputs: 'float[B, P, 16] ck, float[B, P, 16] cv, int64[2] sizes' },
    ),
    'scores of the largest keys only, scattered back': graph(
      `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) top, at = TopK (s, two) h = Shape (s) low = ConstantOfShape <value = float[1] {-inf}> (h) z = ScatterElements <axis = -1> (low, at, top) p = Softmax (z) y = MatMul (p, v)`,
      { weights: 'int64[1] two = {2}' },
    ),
    'values weighed by what an entropy is taken of, too': graph(
      `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) p = Softmax (s) l = Log (p) e = Mul (p, l) h = ReduceSum (e, last) y = MatMul (p, v)`,
      { outputs: 'float h' },
    ),
    'MatMulInteger on quantized tensors': graph(
      `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) qq, qs, qz = DynamicQuantizeLinear (q) kq, ks, kz = DynamicQuantizeLinear (kt) i = MatMulInteger (qq, kq, qz, kz) f = Cast <to = 1> (i) ss = Mul (qs, ks) s = Mul (f, ss) p = Softmax (s) y = MatMul (p, v)`,
    ),
  }
  for (const [name, text] of Object.entries(cases))
    it(`is ${name}`, () => expect(verdicts(text)).toEqual(['attention']))
})

describe('softmax that is no attention', () => {
  const classifier = 'z = MatMul (x, w) y = Softmax (z)'
  const latent = { weights: 'float[1, 5, 16] latent = ..., int64[2] tail = {5, 16}' }
  const cases: [name: string, verdict: string, text: string][] = [
    ['a classifier', 'rejected:k-is-weight', graph(classifier)],
    [
      'a classifier with a bias and quantized weights',
      'rejected:k-is-weight',
      graph('d = DequantizeLinear (wq, step) z = MatMul (x, d) a = Add (z, last2) y = Softmax (a)', {
        weights: 'int8[16, 16] wq = ..., float step = {0.1}, float[16] last2 = ...',
      }),
    ],
    [
      'a classifier with 4-bit weights',
      'rejected:k-is-weight',
      graph('z = com.microsoft.MatMulNBits <K = 16, N = 8, bits = 4, block_size = 16> (x, wq, sc) y = Softmax (z)', {
        weights: 'uint8[8, 1, 8] wq = ..., float[8] sc = ...',
      }),
    ],
    [
      'a classifier by Gemm',
      'rejected:k-is-weight',
      graph('f = Flatten <axis = 2> (x) z = Gemm <transB = 1> (f, w) y = Softmax (z)'),
    ],
    ['a router', 'rejected:k-is-weight', graph('z = MatMul (x, w) p = Softmax (z) y = MatMul (p, u)')],
    [
      'a dense synthesizer',
      'rejected:k-is-weight',
      graph(
        'z = Einsum <equation = "bnd,hdm->bhnm"> (x, syn) p = Softmax (z) y = Einsum <equation = "bhnm,bmd->bhnd"> (p, x)',
        { weights: 'float[4, 16, 9] syn = ...' },
      ),
    ],
    [
      'a lookup in a codebook',
      'rejected:k-is-weight',
      graph('z = MatMul (x, w) p = Softmax (z) wt = Transpose <perm = [1, 0]> (w) y = MatMul (p, wt)'),
    ],
    [
      'box distributions of a detector',
      'rejected:no-score',
      graph(
        'r = Reshape (f, bins) a = Transpose <perm = [0, 2, 1, 3]> (r) p = Softmax <axis = 1> (a) y = Conv (p, dfl)',
        { inputs: 'float[B, 64, 100] f', weights: 'int64[4] bins = {0, 4, 16, 100}, float[1, 16, 1, 1] dfl = ...' },
      ),
    ],
    [
      'a gate over branches',
      'rejected:no-score',
      graph('a = Conv (f, w1) b = Relu (a) p = Softmax <axis = 1> (b) c = Mul (p, f) y = ReduceSum (c, ax)', {
        inputs: 'float[B, 8, 4, 4] f',
        weights: 'float[8, 8, 1, 1] w1 = ..., int64[1] ax = {1}',
      }),
    ],
    [
      'soft argmax',
      'rejected:v-constant',
      graph(`${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) p = Softmax (s) y = MatMul (p, grid)`, {
        weights: 'float[16, 2] grid = ...',
      }),
    ],
    [
      'a pointer network',
      'rejected:no-value',
      graph(`${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) y = Softmax (s)`),
    ],
    [
      'slot competition',
      'rejected:no-value',
      graph(
        `${qkv} qt = Transpose <perm = [0, 2, 1]> (q) s = MatMul (k, qt) p = Softmax (s) pt = Transpose <perm = [0, 2, 1]> (p) y = MatMul (pt, v)`,
      ),
    ],
    [
      'pooling with a learned query',
      'rejected:q-is-weight',
      graph('s = MatMul (x, one) p = Softmax <axis = 1> (s) pt = Transpose <perm = [0, 2, 1]> (p) y = MatMul (pt, x)'),
    ],
    [
      'pooling by an additive score',
      'rejected:q-is-weight',
      graph(
        'a = MatMul (x, w) h = Tanh (a) s = MatMul (h, one) p = Softmax <axis = 1> (s) c = Mul (p, x) y = ReduceSum (c, ax)',
        { weights: 'int64[1] ax = {1}' },
      ),
    ],
    [
      'pooling above an attention',
      'rejected:q-is-weight',
      graph(
        'xt = Transpose <perm = [0, 2, 1]> (x) g = MatMul (x, xt) h = MatMul (g, x) s = MatMul (h, one) p = Softmax <axis = 1> (s) pt = Transpose <perm = [0, 2, 1]> (p) y = MatMul (pt, x)',
      ),
    ],
    [
      'a convolution over positions',
      'rejected:no-score',
      graph(
        'a = Conv (f, w1) r = Reshape (a, flat) p = Softmax (r) g = Reshape (f, flat8) pt = Transpose <perm = [0, 2, 1]> (p) y = MatMul (g, pt)',
        {
          inputs: 'float[B, 8, 4, 4] f',
          weights: 'float[1, 8, 1, 1] w1 = ..., int64[3] flat = {0, 1, -1}, int64[3] flat8 = {0, 8, -1}',
        },
      ),
    ],
    [
      'keys and values of stored patterns',
      'rejected:static-memory',
      graph(
        'n = Shape <start = 0, end = 1> (x) e = Concat <axis = 0> (n, tail) l = Expand (latent, e) q = MatMul (x, w) k = MatMul (l, u) v = MatMul (l, t) kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) p = Softmax (s) y = MatMul (p, v)',
        latent,
      ),
    ],
    [
      'channels compared over positions',
      'rejected:channel-attention',
      graph(
        `${qkv} qt = Transpose <perm = [0, 2, 1]> (q) s = MatMul (qt, k) p = Softmax (s) vt = Transpose <perm = [0, 2, 1]> (v) y = MatMul (p, vt)`,
      ),
    ],
    [
      'additive scores of a graph network',
      'review:pairwise-score',
      graph(
        'a = MatMul (x, one) b = Transpose <perm = [0, 2, 1]> (a) z = Add (a, b) l = LeakyRelu (z) p = Softmax (l) y = MatMul (p, x)',
      ),
    ],
    [
      'additive scores of a query (Bahdanau), which are no pooling',
      'review:pairwise-score',
      graph(
        'q0 = MatMul (h, u) q = Unsqueeze (q0, middle) k = MatMul (x, w) a = Add (q, k) z = Tanh (a) s = MatMul (z, one) p = Softmax <axis = 1> (s) pt = Transpose <perm = [0, 2, 1]> (p) y = MatMul (pt, x)',
        { inputs: 'float[B, 16] h', weights: 'int64[1] middle = {1}' },
      ),
    ],
    [
      'negative distances of keys and queries',
      'review:pairwise-score',
      graph(
        `${qkv} q4 = Unsqueeze (q, two) k4 = Unsqueeze (k, middle) d = Sub (q4, k4) dd = Mul (d, d) r = ReduceSum <keepdims = 0> (dd, last) root = Sqrt (r) s = Neg (root) p = Softmax (s) y = MatMul (p, v)`,
        { weights: 'int64[1] middle = {1}, int64[1] two = {2}' },
      ),
    ],
    [
      'the largest score of every key',
      'review:pairwise-score',
      graph(
        'zt = Transpose <perm = [0, 2, 1]> (z) s0 = MatMul (x, zt) s = ReduceMax <axes = [-1], keepdims = 0> (s0) p0 = Softmax (s) p = Unsqueeze (p0, middle) y = MatMul (p, x)',
        { inputs: 'float[B, T, 16] z', weights: 'int64[1] middle = {1}' },
      ),
    ],
    [
      'pooling whose scores are normalised by their own mean',
      'rejected:q-is-weight',
      graph(
        'm = ReduceMean <axes = [1]> (x) d = Sub (x, m) s = MatMul (d, one) p = Softmax <axis = 1> (s) pt = Transpose <perm = [0, 2, 1]> (p) y = MatMul (pt, x)',
      ),
    ],
    [
      'an entropy without a lookup of values',
      'rejected:no-value',
      graph(
        `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) p = Softmax (s) l = Log (p) e = Mul (p, l) y = ReduceSum (e, last)`,
      ),
    ],
    [
      'weights divided by the sums of other rows after the product with values',
      'review:late-division',
      graph(
        `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) e = Exp (s) t = ReduceSum (e, last) tt = Transpose <perm = [0, 2, 1]> (t) c = MatMul (e, v) y = Div (c, tt)`,
      ),
    ],
    [
      'weights whose sum is read by something else, too',
      'review:late-division',
      graph(
        `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) e = Exp (s) t = ReduceSum (e, last) c = MatMul (e, v) y = Div (c, t)`,
        { outputs: 'float t' },
      ),
    ],
    [
      'exponentials of scores whose normalisation cannot be read',
      'review:unknown-normalisation',
      graph(
        `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) e = Exp (s) ones = ConstantOfShape (shape) c = MatMul (e, v) t = MatMul (e, ones) y = Div (c, t)`,
        { weights: 'int64[3] shape = {1, 4, 1}' },
      ),
    ],
    [
      'powers of another base',
      'review:other-base',
      graph(
        `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) e = Pow (two, s) t = ReduceSum (e, last) p = Div (e, t) y = MatMul (p, v)`,
        { weights: 'float two = {2}' },
      ),
    ],
    [
      'powers of another base beside a 1, which is no Softmax1 of the scores',
      'review:other-base',
      graph(
        `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) e = Pow (two, s) t = ReduceSum (e, last) u = Add (t, unit) p = Div (e, u) y = MatMul (p, v)`,
        { weights: 'float two = {2}, float unit = {1}' },
      ),
    ],
    [
      'powers of another base divided by their norm',
      'review:other-base',
      graph(
        `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) e = Pow (two, s) p = LpNormalization <p = 1> (e) y = MatMul (p, v)`,
        { weights: 'float two = {2}' },
      ),
    ],
    [
      'powers of another base whose normalisation cannot be read',
      'review:unknown-normalisation',
      graph(
        `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) e = Pow (two, s) ones = ConstantOfShape (shape) c = MatMul (e, v) t = MatMul (e, ones) y = Div (c, t)`,
        { weights: 'float two = {2}, int64[3] shape = {1, 4, 1}' },
      ),
    ],
    [
      'powers of another base of a classifier',
      'rejected:k-is-weight',
      graph('z = MatMul (x, w) e = Pow (two, z) t = ReduceSum (e, last) y = Div (e, t)', {
        weights: 'float two = {2}',
      }),
    ],
    [
      'logarithms that are masked before Exp makes weights of them',
      'review:masked-logarithms',
      graph(
        `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) l = LogSoftmax <axis = -1> (s) m = Add (l, mask) p = Exp (m) y = MatMul (p, v)`,
        { inputs: 'float[B, 1, S] mask' },
      ),
    ],
    [
      'logarithms that are targets of a loss',
      'rejected:log-softmax',
      graph(
        `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) l = LogSoftmax <axis = -1> (s) m = Mul (l, target) y = ReduceSum (m, last)`,
        { inputs: 'float[B, S, S] target' },
      ),
    ],
    ['logarithms for a loss', 'rejected:log-softmax', graph('z = MatMul (x, w) y = LogSoftmax (z)')],
    [
      'a decomposed softmax of a classifier',
      'rejected:k-is-weight',
      graph(
        'z = MatMul (x, w) m = ReduceMax <axes = [-1]> (z) d = Sub (z, m) e = Exp (d) s = ReduceSum (e, last) y = Div (e, s)',
      ),
    ],
  ]
  for (const [name, verdict, text] of cases) it(`is ${name}`, () => expect(verdicts(text)).toEqual([verdict]))

  it('is two softmaxes of one score multiplied with each other', () => {
    const text = graph(
      `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) a = Softmax <axis = -1> (s) b = Softmax <axis = -2> (s) y = Mul (a, b)`,
    )
    expect(verdicts(text)).toEqual(['rejected:no-value', 'rejected:no-value'])
  })

  it('is the factors of a Nyström approximation, but not its lookup of values', () => {
    const text = graph(
      `${qkv} kt = Transpose <perm = [0, 2, 1]> (k) lt = Transpose <perm = [0, 2, 1]> (l)
       s1 = MatMul (q, lt) a = Softmax (s1) s2 = MatMul (l, lt) b = Softmax (s2) s3 = MatMul (l, kt) c = Softmax (s3)
       bb = MatMul (b, b) ab = MatMul (a, bb) cv = MatMul (c, v) y = MatMul (ab, cv)`,
      { inputs: 'float[B, 4, 16] l' },
    )
    expect(verdicts(text)).toEqual(['rejected:kernel-approximation', 'rejected:kernel-approximation', 'attention'])
  })

  it('is a softmax over several axes before opset 13, which asks for a review only where attention may be meant', () => {
    expect(verdicts(graph('y = Softmax <axis = 1> (f)', { opset: 11, inputs: 'float[B, 8, 4, 4] f' }))).toEqual([
      'rejected:no-score',
    ])
    expect(verdicts(graph('y = Softmax <axis = 1> (f)', { opset: 11, inputs: 'float[B, 8, 1, 1] f' }))).toEqual([
      'rejected:no-score',
    ])
    const block = blockText({ opset: 11, normalise: 'p = Softmax <axis = 2> (s)' })
    expect(verdicts(block)).toEqual(['review:flattened-axes'])
  })

  it('names the operator where the way to the scores ends', () => {
    const [site] = sitesOf(graph('[the_relu] r = Relu (x) [odd] y = Softmax (r)'))
    expect(site?.verdict.message).toBe(
      '"odd" does not normalise scores of queries against keys: its input comes from the Relu "the_relu".',
    )
  })
})

describe('policies', () => {
  it('take pooling, channel attention and stored patterns in when asked', () => {
    const pooling = graph(
      's = MatMul (x, one) p = Softmax <axis = 1> (s) pt = Transpose <perm = [0, 2, 1]> (p) y = MatMul (pt, x)',
    )
    const channels = graph(
      `${qkv} qt = Transpose <perm = [0, 2, 1]> (q) s = MatMul (qt, k) p = Softmax (s) vt = Transpose <perm = [0, 2, 1]> (v) y = MatMul (p, vt)`,
    )
    const stored = graph(
      'q = MatMul (x, w) k = MatMul (latent, u) v = MatMul (latent, t) kt = Transpose <perm = [0, 2, 1]> (k) s = MatMul (q, kt) p = Softmax (s) y = MatMul (p, v)',
      { weights: 'float[1, 5, 16] latent = ...' },
    )
    expect(verdicts(pooling, { pooling: true })).toEqual(['attention'])
    expect(verdicts(channels, { channelAttention: true })).toEqual(['attention'])
    expect(verdicts(stored, { staticMemories: true })).toEqual(['attention'])
  })

  it('let names decide', () => {
    const text = blockText({ normalise: '[mine] p = Softmax (s)' })
    expect(verdicts(text, { only: (name: string) => name !== 'mine' })).toEqual(['rejected:excluded'])
    const odd = graph('r = Relu (x) [odd] y = Softmax (r)')
    expect(verdicts(odd, { force: (name: string) => name === 'odd' })).toEqual(['attention'])
  })

  it('take lookups in a table in when asked, and no expectations of a distribution', () => {
    const lookup = graph('z = MatMul (x, w) p = Softmax (z) y = MatMul (p, u)')
    const mean = graph('z = MatMul (x, w) p = Softmax (z) y = MatMul (p, one)')
    expect(verdicts(lookup, { staticMemories: true })).toEqual(['attention'])
    expect(verdicts(mean, { staticMemories: true })).toEqual(['rejected:k-is-weight'])
  })

  it('do not let a name decide what a spelling computes', () => {
    const force = (): boolean => true
    const padded: BlockText = {
      weights: 'int64[8] column = {0, 0, 0, 0, 0, 0, 0, 1}, int64[1] start = {0}, int64[1] end = {-1}',
      normalise: 'a = Pad (s, column) b = Softmax (a) p = Slice (b, start, end, last)',
    }
    expect(verdictOf(siteOf(padded, { force }))).toBe('already-softmax1')
    expect(verdictOf(siteOf({ opset: 11, normalise: 'p = Softmax <axis = 2> (s)' }, { force }))).toBe(
      'review:flattened-axes',
    )
    const masked: BlockText = {
      inputs: 'float[B, 1, 1, S] keep',
      normalise: 'e = Exp (s) w = Mul (e, keep) t = ReduceSum (w, last) p = Div (w, t)',
    }
    expect(verdictOf(siteOf(masked, { force }))).toBe('review:masked-exponentials')
  })

  it('turn the form whose 1 is not shifted into Softmax1 by name, and say that the outputs change', () => {
    const normalise =
      'm = ReduceMax <axes = [-1]> (s) d = Sub (s, m) e = Exp (d) t = ReduceSum (e, last) u = Add (t, one) p = Div (e, u)'
    const site = siteOf({ normalise }, { force: () => true })
    expect([verdictOf(site), site.input?.name]).toEqual(['attention', 's'])
    expect(site.notes.join()).toMatch(/outputs change/)
  })
})

describe('what a site tells', () => {
  it('gives contractions, exact paths and heads', () => {
    const site = siteOf({ normalise: 'a = Cast <to = 1> (s) p0 = Softmax (a) p = Cast <to = 1> (p0)' })
    expect(site.scores[0]).toMatchObject({ dataInput: 1, otherInput: 0, axis: -1 })
    expect(site.values[0]).toMatchObject({ dataInput: 1, otherInput: 0, axis: -2 })
    expect(opsOf(site.scorePath)).toEqual(['Mul', 'Add', 'Cast'])
    expect(opsOf(site.valuePath)).toEqual(['Cast'])
    expect(site.scorePath.every((s) => s.axisIn === -1 && s.axisOut === -1)).toBe(true)
    expect(site.heads).toEqual({ axis: -3, count: 4, merged: false })
    expect(site.graphPath).toBe('')
  })

  it('finds heads that are merged with the batch, whichever Reshape merged them', () => {
    const merged = {
      scores: `qs = Shape (q) len = Slice (qs, two, four, zeroAxis) rest = Concat <axis = 0> (last, len) q3 = Reshape (q, rest) k3 = Reshape (k, rest) v3 = Reshape (v, rest)
        kt = Transpose <perm = [0, 2, 1]> (k3) s0 = MatMul (q3, kt) s = Mul (s0, scale)`,
      before:
        'two = Constant <value_ints = [2]> () four = Constant <value_ints = [4]> () zeroAxis = Constant <value_ints = [0]> ()',
      context: 'c0 = MatMul (p, v3) c = Reshape (c0, qs)',
    }
    expect(siteOf(merged).heads).toEqual({ axis: -3, count: 4, merged: true })
  })

  it('follows a key axis through reshapes that split and merge other axes', () => {
    const site = siteOf({
      before:
        'z0 = Constant <value_ints = [0]> () z1 = Constant <value_ints = [1]> () z2 = Constant <value_ints = [2]> () h = Constant <value_ints = [4]> () sh = Shape (x) b = Slice (sh, z0, z1) n = Slice (sh, z1, z2) bh = Mul (b, h) flat = Concat <axis = 0> (bh, n, n) deep = Concat <axis = 0> (b, h, n, n)',
      normalise: 'f = Reshape (s, flat) a = Softmax (f) p = Reshape (a, deep)',
    })
    expect(verdictOf(site)).toBe('attention')
    expect(opsOf(site.scorePath)).toEqual(['Mul', 'Add', 'Reshape'])
    expect(opsOf(site.valuePath)).toEqual(['Reshape'])
  })

  it('leaves paths out when an axis is followed by place and not by size', () => {
    const site = siteOf({
      inputs: 'int64[N] odd',
      normalise: 'f = Reshape (s, odd) a = Softmax (f) p = Reshape (a, odd)',
    })
    expect([verdictOf(site), site.scorePath, site.valuePath]).toEqual(['attention', [], []])
    expect(site.notes.join()).toMatch(/place/)
  })

  it('warns about probabilities that are an output, quantized probabilities and ALiBi', () => {
    expect(siteOf({ outputs: 'float[] p' }).notes.join()).toMatch(/graph output "p"/)
    const quantized = siteOf({
      weights: 'float step = {0.004}, uint8 origin = {0}',
      normalise: 'a = Softmax (s) b = QuantizeLinear (a, step, origin) p = DequantizeLinear (b, step, origin)',
    })
    expect(quantized.notes.join()).toMatch(/scale calibrated for softmax/)
    const alibi = siteOf({
      inputs: 'float[1, 1, 1, S] place',
      weights: 'float[1, 4, 1, 1] slopes = ...',
      scores:
        'kt = Transpose <perm = [0, 1, 3, 2]> (k) s0 = MatMul (q, kt) s1 = Mul (s0, scale) bias = Mul (slopes, place) s = Add (s1, bias)',
    })
    expect(alibi.notes.join()).toMatch(/ALiBi/)
    const learned = siteOf({
      weights: 'float[4, 1, 1] offsets = ...',
      scores:
        'kt = Transpose <perm = [0, 1, 3, 2]> (k) s0 = MatMul (q, kt) s1 = Mul (s0, scale) s2 = Add (s1, mask) s = Add (s2, offsets)',
    })
    expect(learned.notes).toEqual([expect.stringMatching(/the same for all keys, which softmax ignores/)])
    expect(siteOf({}).notes).toEqual([])
  })
})

describe('what a site tells of what follows', () => {
  const keep = { inputs: 'float[B, 1, 1, S] keep', weights: 'float tiny = {0.000001}' }
  const renormalised: [name: string, part: BlockText][] = [
    ['at once', { normalise: 'a = Softmax (s) b = Mul (a, keep) t = ReduceSum (b, last) p = Div (b, t)' }],
    [
      'with a guard',
      { normalise: 'a = Softmax (s) b = Mul (a, keep) t = ReduceSum (b, last) u = Add (t, tiny) p = Div (b, u)' },
    ],
    [
      'after the product with values',
      {
        normalise: 'a = Softmax (s) p = Mul (a, keep) t = ReduceSum (p, last)',
        context: 'c0 = MatMul (p, v) c = Div (c0, t)',
      },
    ],
  ]
  it.each(renormalised)('warns that dividing by the sum again takes a conversion back: %s', (_, part) => {
    const site = siteOf({ ...keep, ...part })
    expect([verdictOf(site), site.values[0]?.node.opType]).toEqual(['attention', 'MatMul'])
    expect(site.notes.join()).toMatch(/takes back what Softmax1 changes/)
  })

  it('does not warn of a division by something else', () => {
    const site = siteOf({ ...keep, normalise: 'a = Softmax (s) b = Mul (a, keep) p = Div (b, one)' })
    expect(site.notes).toEqual([])
  })

  it('says how many learned queries a pooling has', () => {
    const text = graph(
      'wt = Transpose <perm = [1, 0]> (w) s = MatMul (x, wt) p = Softmax <axis = 1> (s) y = Einsum <equation = "bsq,bsd->bqd"> (p, x)',
    )
    expect(sitesOf(text)[0]?.verdict.message).toMatch(/pools with 16 learned queries "w/)
  })
})

describe('opset 7', () => {
  it('reads axes and bounds from attributes', () => {
    const text = blockText({
      opset: 9,
      normalise:
        'u = Unsqueeze <axes = [1]> (s) w = Squeeze <axes = [1]> (u) a = Slice <axes = [0], starts = [0], ends = [9223372036854775807]> (w) p = Softmax <axis = 3> (a)',
    })
    const [site] = sitesOf(text)
    expect(opsOf(site?.scorePath ?? [])).toEqual(['Mul', 'Add', 'Unsqueeze', 'Squeeze', 'Slice'])
  })
})
