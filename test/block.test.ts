import { describe, expect, it } from 'vitest'
import type { Block, NoBlock } from '../src/attention/index.ts'
import { blockOf } from '../src/attention/index.ts'
import { Facts } from '../src/ops/index.ts'
import type { BlockText } from './support/attention-text.ts'
import { siteOf } from './support/attention-text.ts'

const of = (part: BlockText): Block | NoBlock => blockOf(siteOf(part), new Facts())

function blockIn(part: BlockText): Block {
  const block = of(part)
  if ('reason' in block) throw new Error(`${block.reason}: ${block.detail}`)
  return block
}

/** The value and the order of its axes of each operand. */
function operands({ q, k, v, output }: Block): string[] {
  return [q, k, v, output].map(({ value, order, packed }) => `${value.name} ${order}${packed ? ` ${packed.name}` : ''}`)
}

const scores = (nodes: string): BlockText => ({
  scores: `kt = Transpose <perm = [0, 1, 3, 2]> (k) s0 = MatMul (q, kt) ${nodes}`,
})

describe('a block', () => {
  it('reaches behind the head split, the scale and the head merge', () => {
    const block = blockIn({})
    expect(operands(block)).toEqual(['q1 bshd q0', 'k1 bthd k0', 'v1 bthe v0', 'c1 bshe c2'])
    expect(block).toMatchObject({ scale: 0.5, softcap: 0, heads: 4, kvHeads: 4, headSize: 4, valueHeadSize: 4 })
    expect(block.masks).toMatchObject([{ kind: 'additive', value: { name: 'mask' } }])
    expect(block.sameLength).toBe(true)
  })

  it('multiplies the factors on queries, keys and scores', () => {
    const part = {
      weights: 'float third = {0.25}',
      scores: `qs = Mul (third, q) ks = Div (k, third) kt = Transpose <perm = [0, 1, 3, 2]> (ks)
        kth = Mul (kt, scale) s0 = MatMul (qs, kth) s1 = Div (s0, third) s = Add (s1, mask)`,
    }
    expect(blockIn(part)).toMatchObject({ scale: 0.25 * 4 * 0.5 * 4 })
  })

  it('keeps a factor that is not a constant with the operand', () => {
    const part = {
      inputs: 'float factor',
      scores: 'qs = Mul (q, factor) kt = Transpose <perm = [0, 1, 3, 2]> (k) s0 = MatMul (qs, kt) s = Add (s0, mask)',
    }
    expect(operands(blockIn(part))[0]).toBe('qs bhsd')
  })

  it('reads the axes of an Einsum', () => {
    const block = blockIn({
      scores: 's0 = Einsum <equation = "bhsd,bhtd->bhst"> (q, k) s1 = Mul (s0, scale) s = Add (s1, mask)',
      context: 'c = Einsum <equation = "bhst,bhtd->bhsd"> (p, v)',
    })
    expect(operands(block)).toEqual(['q1 bshd q0', 'k1 bthd k0', 'v1 bthe v0', 'c1 bshe c2'])
  })

  it('finds keys turned around behind merged heads', () => {
    const block = blockIn({
      weights: 'int64[3] together = {-1, 6, 4}, int64[4] apart = {2, 4, 4, 6}, int64[4] fixed = {2, 6, 4, 4}',
      k: `k0 = MatMul (x, wk) k1 = Reshape (k0, fixed) k2 = Transpose <perm = [0, 2, 1, 3]> (k1) k = Identity (k2)`,
      scores: `km = Reshape (k, together) kn = Transpose <perm = [0, 2, 1]> (km) kt = Reshape (kn, apart)
        s0 = MatMul (q, kt) s1 = Mul (s0, scale) s = Add (s1, mask)`,
    })
    expect(operands(block)[1]).toMatch(/^k1 bthd/)
  })

  it('reads a soft cap', () => {
    const part = scores('s1 = Mul (s0, scale) s2 = Div (s1, cap) s3 = Tanh (s2) s4 = Mul (s3, cap) s = Add (s4, mask)')
    const block = blockIn({ ...part, weights: 'float cap = {30}' })
    expect(block.softcap).toBe(30)
    expect(block.scale).toBeCloseTo(0.5)
  })

  it('keeps masks in their order, whichever way they hide', () => {
    const part = scores('s1 = Add (table, s0) s2 = Where (hide, low, s1) s = Where (show, s2, low)')
    const block = blockIn({
      ...part,
      inputs: 'bool[B, 1, S, S] hide, bool[B, 1, S, S] show',
      weights: 'float[1, 4, 1, 1] table = ..., float low = {-10000}',
    })
    expect(block.masks).toMatchObject([
      { kind: 'additive', value: { name: 'table' } },
      { kind: 'select', condition: { name: 'hide' }, fillWhen: true },
      { kind: 'select', condition: { name: 'show' }, fillWhen: false },
    ])
  })

  it('passes a bound far below any score, a Cast that changes nothing and a guard against NaN', () => {
    const part = scores('s1 = Mul (s0, scale) s2 = Add (s1, mask) s3 = Max (s2, low) s = Cast <to = 1> (s3)')
    const block = blockIn({
      ...part,
      weights: 'float low = {-3.4e38}',
      normalise: '[the_softmax] p0 = Softmax <axis = -1> (s) n = IsNaN (p0) p = Where (n, zero, p0)',
    })
    expect(block.masks).toHaveLength(1)
  })

  it('sees that one head of keys serves many of queries', () => {
    const block = blockIn({
      weights: 'int64[4] single = {0, 0, 1, 4}, float[16, 4] wk1 = ..., float[16, 4] wv1 = ...',
      k: 'k0 = MatMul (x, wk1) k1 = Reshape (k0, single) k = Transpose <perm = [0, 2, 1, 3]> (k1)',
      v: 'v0 = MatMul (x, wv1) v1 = Reshape (v0, single) v = Transpose <perm = [0, 2, 1, 3]> (v1)',
    })
    expect(block).toMatchObject({ heads: 4, kvHeads: 1 })
  })

  it('sees that keys come from somewhere else than queries', () => {
    const block = blockIn({
      inputs: 'float[B, T, 16] memory',
      k: 'k0 = MatMul (memory, wk) k1 = Reshape (k0, split) k = Transpose <perm = [0, 2, 1, 3]> (k1)',
      v: 'v0 = MatMul (memory, wv) v1 = Reshape (v0, split) v = Transpose <perm = [0, 2, 1, 3]> (v1)',
      scores: 'kt = Transpose <perm = [0, 1, 3, 2]> (k) s0 = MatMul (q, kt) s = Mul (s0, scale)',
    })
    expect(block.sameLength).toBe(false)
  })
})

describe('a site that is no block says why', () => {
  it.each<[NoBlock['reason'], BlockText]>([
    ['shared-probabilities', { outputs: 'float[] p' }],
    ['shared-scores', { ...scores('s1 = Mul (s0, scale) s = Add (s1, mask)'), outputs: 'float[] s1' }],
    ['probability-operator', { context: 'pm = Mul (p, scale) c = MatMul (pm, v)' }],
    ['score-operator', scores('s1 = Mul (s0, scale) s2 = Neg (s1) s = Add (s2, mask)')],
    ['scale-after-mask', scores('s1 = Add (s0, mask) s = Mul (s1, scale)')],
    ['mask-fill', { ...scores('s = Where (show, s0, one)'), inputs: 'bool[B, 1, S, S] show' }],
    [
      'scale-unknown',
      { ...scores('s1 = Mul (s0, factors) s = Add (s1, mask)'), weights: 'float[4, 1, 1] factors = ...' },
    ],
    [
      'layout',
      {
        scores: `qt = Transpose <perm = [0, 1, 3, 2]> (q) s0 = MatMul (k, qt) s1 = Transpose <perm = [0, 1, 3, 2]> (s0)
          s = Add (s1, mask)`,
      },
    ],
    [
      'mixed-precision',
      {
        ...scores('s1 = Add (s0, mask) s = Cast <to = 11> (s1)'),
        normalise: 'pd = Softmax <axis = -1> (s) p = Cast <to = 1> (pd)',
      },
    ],
    ['several-values', { context: 'c3 = MatMul (p, v) c4 = MatMul (p, k2) c = Add (c3, c4)' }],
    [
      'several-scores',
      scores('k3 = Transpose <perm = [0, 1, 3, 2]> (v) s1 = MatMul (q, k3) s2 = Add (s0, s1) s = Add (s2, mask)'),
    ],
  ])('%s', (reason, part) => {
    expect(of(part)).toMatchObject({ reason })
  })
})
