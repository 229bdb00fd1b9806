import { describe, expect, it } from 'vitest'
import { passes } from '../passes/index.ts'
import { findSites } from '../src/attention/index.ts'
import type { Model } from '../src/ir/index.ts'
import { verify } from '../src/ir/index.ts'
import type { PipelineSettings, SiteReport } from '../src/rewrite/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import { targets } from '../src/targets/index.ts'
import type { Dense } from './support/attention-reference.ts'
import { attend, distance, mergeHeads, pick, splitHeads } from './support/attention-reference.ts'
import { modelOf } from './support/attention-text.ts'
import type { Feed } from './support/fused-model.ts'
import { integers, runModel, TestData } from './support/fused-model.ts'

const [B, S, H, D] = [2, 5, 2, 8]
const E = H * D
const data = new TestData(31)
const qkv = [0, 1, 2].map(() => data.floats([B, S, E], ['B', 'S', E])) as [Feed, Feed, Feed]

function convert(model: Model, version = '1.20', settings: Partial<PipelineSettings> = {}): SiteReport[] {
  const target = { target: targets.get('ort')!, version, provider: 'any' } as const
  const { report } = runPipeline(model, passes, { target, ...settings })
  verify(model)
  return [...report.sites.values()]
}

function opsIn(model: Model): string[] {
  return [...model.graphs()].flatMap((graph) => [...graph.nodes()].map((node) => node.opType))
}

async function expectOutput(model: Model, feeds: readonly Feed[], expected: Dense, tolerance = 2e-6): Promise<void> {
  const { y } = await runModel(model, { op: '', inputs: feeds, outputs: ['y'] })
  expect(distance(y!, expected)).toBeLessThanOrEqual(tolerance)
}

/** Self-attention with Softmax1, keys at or behind a length hidden. */
function reference([q, k, v]: readonly Feed[], lengths?: readonly number[]): Dense {
  const [a, b, c] = [q, k, v].map((feed) => splitHeads(feed!.value, H)) as [Dense, Dense, Dense]
  const bias = (row: number, _h: number, _i: number, j: number): number => (lengths && j >= lengths[row]! ? -10000 : 0)
  return mergeHeads(attend({ q: a, k: b, v: c, bias, sink: () => 0 }).output)
}

const type = `float[B, S, ${E}]`
const inputs = `${type} in0, ${type} in1, ${type} in2`
const header = (opset: number): string =>
  `<ir_version: ${opset < 23 ? 8 : 10}, opset_import: ["" : ${opset}, "com.microsoft" : 1, "local" : 1]>`

describe('fused operators in other graphs', () => {
  const branch = (name: string): string => `graph = ${name} () => (${type} ${name}_y) {
    ${name}_y = com.microsoft.MultiHeadAttention <num_heads = ${H}> (in0, in1, in2, , lengths) }`
  const nested = `${header(17)} main (${inputs}, int32[B] in3, bool in4) => (${type} y) {
    lengths = Identity (in3)
    y = If (in4) <then_branch: ${branch('a')}, else_branch: ${branch('b')}> }`

  it.each(['1.20', '1.21'])('are converted in both branches of an If, for %s', async (version) => {
    const model = modelOf(nested)
    const sites = convert(model, version)
    expect(sites.map((site) => site.converted)).toEqual([true, true])
    expect(sites.map((site) => site.graph.split('/').at(-1))).toEqual(['then_branch', 'else_branch'])
    expect(sites.map((site) => site.form === 'mha-zero-key')).toEqual([version !== '1.20', version !== '1.20'])
    for (const which of [0, 1]) {
      const feeds = [
        ...qkv,
        integers('int32', [2, 5], ['B']),
        { dtype: 'bool', value: { dims: [], data: Float64Array.of(which) }, shape: [] } as const,
      ]
      await expectOutput(model, feeds, reference(qkv, [2, 5]))
    }
  })

  const local = `${header(17)} main (${inputs}) => (${type} y) { h = local.block (in0, in1, in2) y = Identity (h) }
    <domain: "local", opset_import: ["" : 17, "com.microsoft" : 1]> block (q, k, v) => (c) {
      c = com.microsoft.MultiHeadAttention <num_heads = ${H}> (q, k, v) }`

  it.each([undefined, 'primitives'] as const)('are converted in a function body, form %s', async (form) => {
    const model = modelOf(local)
    expect(convert(model, '1.20', { form })).toMatchObject([{ converted: true, form: form ?? 'mha-zero-key' }])
    expect(model.functions[0]?.body.values.size).toBeGreaterThan(0)
    expect([...model.functions[0]!.body.values.values()].some((value) => value.initializer)).toBe(false)
    await expectOutput(model, qkv, reference(qkv))
  })
})

describe('what fused operators share', () => {
  const layers = `${header(17)} main (float[B, S, ${E}] in0, int32[B, S] in1) => (${type} y)
    <float[${E}, ${3 * E}] w = ..., float[${3 * E}] b = ...> {
      h1 = com.microsoft.Attention <num_heads = ${H}, unidirectional = 1> (in0, w, b, in1)
      h2 = com.microsoft.Attention <num_heads = ${H}, unidirectional = 1> (h1, w, b, in1)
      y = com.microsoft.Attention <num_heads = ${H}, unidirectional = 1> (h2, w, b, in1) }`

  it('is built once: masks and positions', () => {
    const model = modelOf(layers)
    expect(convert(model).map((site) => site.converted)).toEqual([true, true, true])
    const count = (op: string): number => opsIn(model).filter((opType) => opType === op).length
    expect([count('Range'), count('Greater'), count('Where')]).toEqual([1, 2, 2])
  })

  it('is built for every fill and type by itself', () => {
    const model = modelOf(
      layers.replace('unidirectional = 1> (h2', 'unidirectional = 1, mask_filter_value = -5.0> (h2'),
    )
    convert(model)
    expect(opsIn(model).filter((opType) => opType === 'Where').length).toBe(4)
  })
})

it('blocks that lie inside one another share a mask that stands before both', async () => {
  const model = modelOf(`${header(23)} main (${inputs}, bool[B, 1, S, S] in3) => (${type} y)
    <int64[4] split = {0, 0, ${H}, ${D}}, int64[3] merge = {0, 0, ${E}}, float low = {-3.4028235e38}> {
      q0 = Reshape (in0, split) q = Transpose <perm = [0, 2, 1, 3]> (q0) k0 = Reshape (in1, split) k = Transpose <perm = [0, 2, 3, 1]> (k0)
      v0 = Reshape (in2, split) v = Transpose <perm = [0, 2, 1, 3]> (v0)
      s1 = MatMul (q, k) m1 = Where (in3, s1, low) p1 = Softmax (m1)
      s2 = MatMul (v, k) m2 = Where (in3, s2, low) p2 = Softmax (m2)
      c2 = MatMul (p2, v) d2 = Transpose <perm = [0, 2, 1, 3]> (c2) y2 = Reshape (d2, merge)
      c1 = MatMul (p1, v) d1 = Transpose <perm = [0, 2, 1, 3]> (c1) y1 = Reshape (d1, merge) y = Add (y1, y2) }`)
  const target = { target: targets.get('ort')!, version: '1.30', provider: 'cpu' } as const
  const sites = convert(model, '1.30', { target })
  expect(sites.map((site) => site.form)).toEqual(['gqa', 'gqa'])
  expect(opsIn(model).filter((op) => op === 'Where')).toHaveLength(1)
  const all = {
    dtype: 'bool',
    value: { dims: [B, 1, S, S], data: new Float64Array(B * S * S).fill(1) },
    shape: ['B', 1, 'S', 'S'],
  } as const
  const [q, k, v] = qkv.map((feed) => splitHeads(feed.value, H)) as [Dense, Dense, Dense]
  const [a, b] = [q, v].map((x) => mergeHeads(attend({ q: x, k, v, scale: 1, sink: () => 0 }).output)) as [Dense, Dense]
  await expectOutput(model, [...qkv, all], { dims: a.dims, data: a.data.map((x, i) => x + b.data[i]!) }, 4e-6)
})

it('PagedAttention gets a sink per head, on the only provider that has it', () => {
  const text = `${header(17)} main (float16[N, 32] q, float16[N, 32] k, float16[N, 32] v, float16[P, 16, 4, 8] kc, float16[P, 16, 4, 8] vc,
    int32[C] starts, int32[B] lengths, int32[B, M] table) => (float16[N, 32] y, float16[P, 16, 4, 8] ko, float16[P, 16, 4, 8] vo) {
      [paged] y, ko, vo = com.microsoft.PagedAttention <num_heads = 4, kv_num_heads = 4> (q, k, v, kc, vc, starts, lengths, table) }`
  const refused = convert(modelOf(text), '1.30')
  expect(refused).toMatchObject([{ converted: false, message: expect.stringContaining('cuda only') }])
  const model = modelOf(text)
  const target = { target: targets.get('ort')!, version: '1.30', provider: 'cuda' } as const
  const { report } = runPipeline(model, passes, { target })
  expect([...report.sites.values()]).toMatchObject([{ converted: true, form: 'gqa', sink: 0 }])
  expect(report.provider).toMatchObject({ name: 'cuda' })
  const [node] = [...model.graph.nodes()]
  expect(node?.input(11)?.initializer?.toNumbers()).toEqual([0, 0, 0, 0])
  expect(node?.input(11)?.initializer?.dtype).toBe(10)
  expect(findSites(model).map((site) => site.verdict.kind)).toEqual(['already-softmax1'])
})

describe('what the user chose', () => {
  const two = `${header(17)} main (${inputs}) => (${type} y) {
    [first] h = com.microsoft.MultiHeadAttention <num_heads = ${H}> (in0, in1, in2)
    [second] y = com.microsoft.MultiHeadAttention <num_heads = ${H}> (h, in1, in2) }`

  it('leaves an operator that was not selected as it is', () => {
    const model = modelOf(two)
    const sites = convert(model, '1.20', { policies: { only: (name) => name === 'second' } })
    expect(sites).toMatchObject([
      { node: 'first', converted: false, reason: 'excluded' },
      { node: 'second', converted: true },
    ])
    const [first] = [...model.graph.nodes()]
    expect(first?.inputs.map((value) => value?.name)).toEqual(['in0', 'in1', 'in2'])
  })

  it('opens an operator to give it the form that was asked for, and keeps its name and place in the report', () => {
    const model = modelOf(two)
    const sites = convert(model, '1.20', { form: 'primitives' })
    expect(sites.map((site) => [site.node, site.op, site.form])).toEqual([
      ['first', 'com.microsoft::MultiHeadAttention', 'primitives'],
      ['second', 'com.microsoft::MultiHeadAttention', 'primitives'],
    ])
    expect(sites[0]?.rejectedForms).toContainEqual({
      form: 'mha-zero-key',
      reason: 'the form primitives was asked for',
    })
    expect(opsIn(model)).not.toContain('MultiHeadAttention')
  })

  it('says which runtime the result needs', () => {
    const text = two
      .replace('(in0, in1, in2)', '(in0, in1, in2, , , bias)')
      .replace(inputs, `${inputs}, float[1, 1, S, S] bias`)
    const target = { target: targets.get('ort')!, version: '1.24', provider: 'any' } as const
    const { report } = runPipeline(modelOf(text), passes, { target })
    expect(report.runtime).toEqual({ version: '1.21', reason: expect.stringContaining('"first"') })
  })
})

describe('half precision', () => {
  const half = qkv.map(({ value, shape }) => data.floats(value.dims, shape, { half: true })) as [Feed, Feed, Feed]
  const feeds = [...half, integers('int32', [2, 5], ['B'])]

  it.each([
    ['opened', '1.20', false],
    ['with a zero key', '1.21', true],
  ])('%s', async (_how, version, inPlace) => {
    const model = modelOf(
      `${header(17)} main (${inputs}, int32[B] in3) => (${type} y) {
        y = com.microsoft.MultiHeadAttention <num_heads = ${H}> (in0, in1, in2, , in3) }`.replaceAll(
        'float[',
        'float16[',
      ),
    )
    const sites = convert(model, version)
    expect(sites.map((site) => [site.converted, site.form === 'mha-zero-key'])).toEqual([[true, inPlace]])
    // Outputs up to about 3 in half precision: 2^-10.
    await expectOutput(model, feeds, reference(half, [2, 5]), 2e-3)
  })

  it('fills with what the type can hold, so that a row without keys is 0', async () => {
    const model = modelOf(
      `${header(17)} main (${inputs}, int32[B] in3) => (${type} y) {
        y = com.microsoft.MultiHeadAttention <num_heads = ${H}, mask_filter_value = -3.4028235e38> (in0, in1, in2, , in3) }`.replaceAll(
        'float[',
        'float16[',
      ),
    )
    convert(model)
    const { y } = await runModel(model, { op: '', inputs: [...half, integers('int32', [0, 5], ['B'])], outputs: ['y'] })
    expect(y!.data.subarray(0, S * E).every((x) => x === 0)).toBe(true)
    expect(y!.data.subarray(S * E).some((x) => x !== 0)).toBe(true)
  })
})

describe('what is not known', () => {
  it('is said: a mask of unknown rank', () => {
    const text = `${header(17)} main (float[B, S, 16] x, int32 mask) => (float y) <float[16, 48] w = ..., float[48] b = ...> {
      m = vendor.Mask (mask) y = com.microsoft.Attention <num_heads = 2> (x, w, b, m) }`
    const model = modelOf(text.replace('"local" : 1', '"local" : 1, "vendor" : 1'))
    const [site] = convert(model)
    const message = expect.stringContaining('unknown rank')
    expect(site).toMatchObject({ converted: false, reason: 'fused-unsupported', message })
    expect(opsIn(model)).toEqual(['Mask', 'Attention'])
  })

  it('is computed in the graph: sizes nobody declared', async () => {
    const model = modelOf(`${header(17)} main (${inputs}) => (float y) {
      y = com.microsoft.MultiHeadAttention <num_heads = ${H}> (in0, in1, in2) }`)
    for (const value of model.graph.inputs)
      value.type = { kind: 'tensor', dtype: 1, shape: [undefined, undefined, undefined] }
    expect(convert(model, '1.20', { form: 'zero-key' })).toMatchObject([{ converted: true, form: 'zero-key' }])
    expect(opsIn(model)).toContain('Sqrt')
    await expectOutput(model, qkv, reference(qkv))
    expect(findSites(model).map((site) => site.verdict.kind)).toEqual(['already-softmax1'])
  })
})

it('the reference hides what it should', () => {
  const hidden = reference(qkv, [0, 5])
  expect(pick(hidden, [0, 0, 0])).toBe(0)
  expect(pick(hidden, [1, 0, 0])).not.toBe(0)
})
