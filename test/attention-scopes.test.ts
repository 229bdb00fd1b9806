import { describe, expect, it } from 'vitest'
import { blockText, sitesOf, verdictOf } from './support/attention-text.ts'

const heads = 'float[B, 4, S, 4]'

describe('nested graphs', () => {
  it('are searched, with values captured from outside', () => {
    const [site, ...more] = sitesOf(
      blockText({
        inputs: 'bool flag',
        scores: 'kt = Transpose <perm = [0, 1, 3, 2]> (k)',
        normalise: '',
        context: `[choice] c = If (flag) <
          then_branch = yes () => (float[] a) { s = MatMul (q, kt) [inner] p = Softmax (s) a = MatMul (p, v) },
          else_branch = no () => (float[] b) { b = Identity (v) }>`,
      }),
    )
    expect(more).toEqual([])
    expect([site && verdictOf(site), site?.graphPath, site?.node.name]).toEqual([
      'attention',
      'choice/then_branch',
      'inner',
    ])
  })

  it('are left through the outputs of an If between scores and softmax', () => {
    const [site] = sitesOf(
      blockText({
        inputs: 'bool flag',
        normalise:
          'm = If (flag) <then_branch = t () => (float[] a) { a = Squeeze (s, none) }, else_branch = e () => (float[] b) { b = Identity (s) }> p = Softmax <axis = -1> (m)',
        weights: 'int64[0] none = {}',
      }),
    )
    expect([site && verdictOf(site), site?.scorePath]).toEqual(['attention', []])
  })

  it('hand probabilities out to a product behind the If', () => {
    const [site] = sitesOf(
      blockText({
        inputs: 'bool flag',
        normalise:
          'p = If (flag) <then_branch = t () => (float[] a) { a = Softmax (s) }, else_branch = e () => (float[] b) { b = Identity (s) }>',
      }),
    )
    expect(site && verdictOf(site)).toBe('attention')
  })

  it('stop at loop-carried scores', () => {
    const sites = sitesOf(
      blockText({
        inputs: 'int64 n, bool go',
        normalise: `p = Loop (n, go, s) <body = turn (int64 i, bool on, float[] carried) => (bool on2, float[] next)
          { on2 = Identity (on) a = Softmax <axis = -1> (carried) next = MatMul (a, v) }>`,
        context: 'c = Identity (p)',
      }),
    )
    expect(sites.map(verdictOf)).toEqual(['review:loop-carried'])
  })

  it('may hold a whole attention inside a loop', () => {
    const sites = sitesOf(
      blockText({
        inputs: 'int64 n, bool go',
        scores: 'kt = Transpose <perm = [0, 1, 3, 2]> (k)',
        normalise: `p = Loop (n, go, q) <body = turn (int64 i, bool on, ${heads} state) => (bool on2, ${heads} next)
          { on2 = Identity (on) sc = MatMul (state, kt) a = Softmax <axis = -1> (sc) next = MatMul (a, v) }>`,
        context: 'c = Identity (p)',
      }),
    )
    expect(sites.map((s) => [verdictOf(s), s.graphPath.split('/').at(-1)])).toEqual([['attention', 'body']])
  })
})

describe('model-local functions', () => {
  const header = '<domain: "local", opset_import: ["" : 17]>'

  it('count once however often they are called', () => {
    const sites = sitesOf(
      blockText({
        scores: '',
        normalise: '',
        context: 'c0 = local.Attend (q, k, v) c = local.Attend (c0, k, v)',
        functions: `${header} Attend (q, k, v) => (c) { kt = Transpose <perm = [0, 1, 3, 2]> (k) s = MatMul (q, kt) p = Softmax (s) c = MatMul (p, v) }`,
      }),
    )
    expect(sites.map((s) => [verdictOf(s), s.graphPath])).toEqual([['attention', 'function:local.Attend']])
    expect(sites[0]?.notes.join()).toMatch(/called 2 times/)
  })

  const softmax = `${header} Normalise <dim> (x) => (y) { y = Softmax <axis: int = @dim> (x) }`

  it('are left and entered along the axis, attributes of the call included', () => {
    const sites = sitesOf(
      blockText({
        scores: 's = local.Score (q, k)',
        normalise: 'p = local.Normalise <dim = -1> (s)',
        functions: `${softmax} ${header} Score (q, k) => (s) { kt = Transpose <perm = [0, 1, 3, 2]> (k) s = MatMul (q, kt) }`,
      }),
    )
    expect(sites.map((s) => [verdictOf(s), s.axis, s.scorePath])).toEqual([['attention', -1, []]])
  })

  it('ask for a review when their calls are used differently', () => {
    const sites = sitesOf(
      blockText({
        normalise: 'p = local.Normalise <dim = -1> (s)',
        outputs: 'float[] z',
        before: 'l = MatMul (x, wo) z = local.Normalise <dim = -1> (l)',
        functions: softmax,
      }),
    )
    expect(sites.map(verdictOf)).toEqual(['review:callers-disagree'])
  })

  it('may name values as their callers do: where an axis comes from is told all the same', () => {
    const body = `{ qt = Transpose <perm = [0, 1, 3, 2]> (q) s = MatMul (qt, k) p = Softmax (s)
      vt = Transpose <perm = [0, 1, 3, 2]> (v) w = MatMul (p, vt) c = Transpose <perm = [0, 1, 3, 2]> (w) }`
    const sites = sitesOf(
      blockText({
        scores: '',
        normalise: '',
        context: 'c = local.Weigh (q, k, v)',
        functions: `${header} Weigh (q, k, v) => (c) ${body}`,
      }),
    )
    expect(sites.map(verdictOf)).toEqual(['rejected:channel-attention'])
  })

  it('know weights that callers pass in', () => {
    const sites = sitesOf(
      blockText({
        normalise: 'p = Softmax (s)',
        outputs: 'float[] z',
        before: 'z = local.Classify (x, wo)',
        functions: `${header} Classify (x, w) => (y) { l = MatMul (x, w) y = Softmax (l) }`,
      }),
    )
    expect(sites.map(verdictOf)).toEqual(['attention', 'rejected:k-is-weight'])
  })
})
