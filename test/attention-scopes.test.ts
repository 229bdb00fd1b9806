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

  it('say that their probabilities are an output of the model where they are, and only there', () => {
    const choice = `If (flag) <then_branch = t () => (float[] a) { a = Softmax (s) }, else_branch = e () => (float[] b) { b = Identity (s) }>`
    const notes = (part: Parameters<typeof blockText>[0]) =>
      sitesOf(blockText({ inputs: 'bool flag', ...part })).flatMap((site) => [verdictOf(site), ...site.notes])
    expect(notes({ normalise: `p = ${choice}` }).join()).not.toContain('output')
    expect(notes({ normalise: `p = ${choice}`, outputs: 'float[] p' })).toContain(
      'Its probabilities are the graph output "p", which changes too.',
    )
    const loop = `w, p = Loop (n, flag, s) <body = turn (int64 i, bool on, float[] old) => (bool on2, float[] next, float[] each)
      { on2 = Identity (on) next = Identity (old) each = Softmax <axis = -1> (s) c3 = MatMul (each, v) }>`
    expect(
      notes({ inputs: 'bool flag, int64 n', normalise: loop, outputs: 'float[] p', context: 'c = MatMul (w, v)' }),
    ).toContain('Its probabilities are the graph output "p", which changes too.')
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

  it('ask for a review when they are called more often than is looked at, and not before', () => {
    const often = (calls: number, last: string): string =>
      blockText({
        normalise: Array.from({ length: calls }, (_, i) => `p${i} = local.Normalise <dim = -1> (s)`).join('\n'),
        context: `c = MatMul (p0, v) ${Array.from({ length: calls }, (_, i) => `c${i} = MatMul (p${i}, v)`).join('\n')} ${last}`,
        functions: softmax,
      })
    const classifier = 'l = MatMul (x, wo) z = local.Normalise <dim = -1> (l)'
    expect(sitesOf(often(1024, '')).map(verdictOf)).toEqual(['attention'])
    expect(sitesOf(often(1023, classifier)).map(verdictOf)).toEqual(['review:callers-disagree'])
    expect(sitesOf(often(1024, classifier)).map(verdictOf)).toEqual(['review:too-many-calls'])
    expect(sitesOf(often(1024, classifier), { force: () => true }).map(verdictOf)).toEqual(['attention'])
  })

  it('ask for a review when their calls give the axis otherwise, and say so', () => {
    const [site] = sitesOf(
      blockText({
        normalise: 'p = local.Normalise <dim = 3> (s) p2 = local.Normalise <dim = -1> (s)',
        context: 'c = MatMul (p, v) d = MatMul (p2, v)',
        functions: softmax,
      }),
    )
    expect(site && verdictOf(site)).toBe('review:axis-unknown')
    expect(site?.verdict.message).toContain(
      'the calls of the function "local.Normalise" differ in the rank or the axis',
    )
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
