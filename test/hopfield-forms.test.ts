import { describe, expect, it } from 'vitest'
import { passes } from '../passes/index.ts'
import { findSites } from '../src/attention/index.ts'
import { verify } from '../src/ir/index.ts'
import { parseModel } from '../src/onnx/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import type { Form, TargetChoice } from '../src/targets/index.ts'
import { targets } from '../src/targets/index.ts'
import type { Dense } from './support/attention-reference.ts'
import { attend, broadcastPick, distance, mergeHeads, splitHeads } from './support/attention-reference.ts'
import type { Feed } from './support/fused-model.ts'
import { runModel, TestData } from './support/fused-model.ts'

const [B, S, H, D] = [2, 6, 4, 8]
const E = H * D

/** Attention over in0, in1, in2 [B, S, E] with a mask in3, the way exporters write it. */
interface Spelling {
  readonly name: string
  /** Nodes from q, k, v (split into heads unless `split` says otherwise) to y. */
  readonly nodes: string
  readonly mask?: Feed
  readonly bias?: (mask: Dense) => (b: number, h: number, i: number, j: number) => number
  readonly scale?: number
  readonly softcap?: number
  readonly weights?: string
  readonly without?: readonly Form[]
  readonly half?: boolean
  /** Row 1 of the batch sees no key. */
  readonly hidden?: boolean
}

const data = new TestData(21)
const half = (feed: Feed): Feed => ({ ...feed, dtype: 'float16' })
const padding = additive([B, 1, 1, S], ['B', 1, 1, 'S'], -1e4)
const split = (name: string, from: string) =>
  `${name}0 = Reshape (${from}, split) ${name} = Transpose <perm = [0, 2, 1, 3]> (${name}0)`
const heads = `${split('q', 'in0')} k0 = Reshape (in1, split) kt = Transpose <perm = [0, 2, 3, 1]> (k0) ${split('v', 'in2')}`
const merge = 'c0 = Transpose <perm = [0, 2, 1, 3]> (c) y = Reshape (c0, merge)'
const added = (mask: Dense) => (b: number, h: number, i: number, j: number) => broadcastPick(mask, [b, h, i, j])

/** A mask in which row 1 of the batch hides every key, and others hide about a third. */
function additive(dims: readonly number[], shape: readonly (string | number)[], fill: number): Feed {
  const flags = data.flags('int32', dims, shape)
  const rows = flags.value.data.length / B
  const values = flags.value.data.map((x, i) => (i >= rows || x === 0 ? fill : 0))
  return { dtype: 'float', value: { dims, data: values }, shape }
}

const bert = `${heads} s = MatMul (q, kt) s1 = Mul (s, scale) s2 = Add (s1, in3) p = Softmax <axis = -1> (s2) c = MatMul (p, v) ${merge}`
const spellings: Spelling[] = [
  {
    name: 'no mask, scaled scores',
    nodes: `${heads} s = MatMul (q, kt) s1 = Div (s, root) p = Softmax <axis = -1> (s1) c = MatMul (p, v) ${merge}`,
    scale: 1 / Math.sqrt(D),
  },
  {
    name: 'no mask, query and key scaled',
    nodes: `${heads} qs = Mul (q, half) ks = Mul (half, kt) s = MatMul (qs, ks) p = Softmax <axis = -1> (s) c = MatMul (p, v) ${merge}`,
    scale: 0.25,
  },
  { name: 'mask [B, 1, 1, T] filled with -1e4', nodes: bert, mask: padding, bias: added, hidden: true, scale: 0.25 },
  {
    name: 'mask filled with the lowest number',
    nodes: bert,
    mask: additive([B, 1, 1, S], ['B', 1, 1, 'S'], -3.4028234663852886e38),
    bias: added,
    hidden: true,
    scale: 0.25,
  },
  {
    name: 'mask filled with -inf',
    nodes: bert,
    mask: additive([B, 1, 1, S], ['B', 1, 1, 'S'], Number.NEGATIVE_INFINITY),
    bias: added,
    hidden: true,
    scale: 0.25,
  },
  {
    name: 'a bias for every head and a mask',
    nodes: `${heads} s = MatMul (q, kt) s1 = Mul (s, scale) s2 = Add (s1, table) s3 = Add (in3, s2) p = Softmax <axis = -1> (s3) c = MatMul (p, v) ${merge}`,
    mask: additive([B, 1, S, S], ['B', 1, 'S', 'S'], -1e4),
    bias: (mask) => (b, h, i, j) => [0.5, -1, 0, 2][h]! + broadcastPick(mask, [b, h, i, j]),
    hidden: true,
    scale: 0.25,
    weights: 'float[1, 4, 1, 1] table = {0.5, -1.0, 0.0, 2.0}',
  },
  {
    name: 'a boolean mask by Where',
    nodes: `${heads} s = MatMul (q, kt) s1 = Mul (s, scale) s2 = Where (in3, s1, lowest) p = Softmax <axis = -1> (s2) c = MatMul (p, v) ${merge}`,
    mask: data.flags('bool', [B, 1, S, S], ['B', 1, 'S', 'S']),
    bias: (mask) => (b, h, i, j) => (broadcastPick(mask, [b, h, i, j]) > 0 ? 0 : -3.4028234663852886e38),
    scale: 0.25,
  },
  {
    name: 'a soft cap',
    nodes: `${heads} s = MatMul (q, kt) s1 = Mul (s, scale) s2 = Div (s1, cap) s3 = Tanh (s2) s4 = Mul (s3, cap) s5 = Add (s4, in3) p = Softmax <axis = -1> (s5) c = MatMul (p, v) ${merge}`,
    mask: padding,
    bias: added,
    hidden: true,
    scale: 0.25,
    softcap: 1.5,
    without: ['mha-zero-key', 'function'],
  },
  {
    name: 'Einsum',
    nodes: `q0 = Reshape (in0, split) k0 = Reshape (in1, split) v0 = Reshape (in2, split)
      s = Einsum <equation = "blhe,bshe->bhls"> (q0, k0) s1 = Mul (s, scale) s2 = Add (s1, in3) p = Softmax <axis = -1> (s2)
      c = Einsum <equation = "bhls,bshd->blhd"> (p, v0) y = Reshape (c, merge)`,
    mask: padding,
    bias: added,
    hidden: true,
    scale: 0.25,
  },
  {
    name: 'half precision',
    nodes: bert,
    mask: half(additive([B, 1, 1, S], ['B', 1, 1, 'S'], -65504)),
    bias: added,
    hidden: true,
    scale: 0.25,
    half: true,
    without: ['attention-zero-key'],
  },
]

/** The mask-free form of MultiHeadAttention is the only one that is chosen; with a mask it is refused. */
const takes = (form: Form, spelling: Spelling): boolean =>
  !spelling.without?.includes(form) && !(form === 'mha-zero-key' && spelling.mask !== undefined)

const choice = (form: Form): TargetChoice => ({
  target: targets.get('ort')!,
  version: '1.30',
  provider: form === 'gqa' || form === 'attention-zero-key' ? 'cpu' : 'any',
})

function modelOf(spelling: Spelling, feeds: readonly Feed[]) {
  const type = spelling.half ? 'float16' : 'float'
  const inputs = feeds.map(({ dtype, shape }, i) => `${dtype}[${shape.join(', ')}] in${i}`)
  const number = (x: number): string => (spelling.half ? String(x) : x.toExponential())
  return parseModel(`
    <ir_version: 10, opset_import: ["" : 23, "com.microsoft" : 1]>
    block (${inputs.join(', ')}) => (${type}[B, S, ${E}] y)
    <int64[4] split = {0, 0, ${H}, ${D}}, int64[3] merge = {0, 0, ${E}}, ${type} scale = {${number(0.25)}}, ${type} half = {${number(0.5)}},
     ${type} root = {${number(Math.sqrt(D))}}, ${type} cap = {${number(1.5)}}, float lowest = {-3.4028235e38}${spelling.weights ? `, ${spelling.weights}` : ''}>
    { ${spelling.nodes} }`)
}

describe('every fused form computes Softmax1 attention', () => {
  const perHead = [0.5, -2, 0, 1.5]
  for (const form of ['gqa', 'attention-zero-key', 'mha-zero-key', 'function'] as const) {
    for (const spelling of spellings.filter((s) => takes(form, s))) {
      for (const sink of [0, -2, perHead]) {
        // MultiHeadAttention is only taken with its fast path, which has no mask a sink could be written into.
        if (form === 'mha-zero-key' && sink !== 0) continue
        it(`${form}: ${spelling.name}, sink ${sink}`, async () => {
          const qkv = [0, 1, 2].map(() => data.floats([B, S, E], ['B', 'S', E], { half: spelling.half ?? false }))
          const feeds = spelling.mask ? [...qkv, spelling.mask] : qkv
          const model = modelOf(spelling, feeds)
          const { report } = runPipeline(model, passes, { target: choice(form), form, sink: () => sink })
          verify(model)
          expect([...report.sites.values()]).toMatchObject([{ converted: true, form }])
          expect([...model.graph.nodes()].map((node) => node.opType)).not.toContain('Softmax')
          const [q, k, v] = qkv.map((feed) => splitHeads(feed.value, H)) as [Dense, Dense, Dense]
          const { mask, bias, scale, softcap } = spelling
          const { output } = attend({
            q,
            k,
            v,
            sink: (h) => (typeof sink === 'number' ? sink : sink[h]!),
            ...(scale === undefined ? {} : { scale }),
            ...(softcap === undefined ? {} : { softcap }),
            ...(mask && bias ? { bias: bias(mask.value) } : {}),
          })
          const { y } = await runModel(model, { op: '', inputs: feeds, outputs: ['y'] })
          // Half precision rounds to 2^-11 of numbers up to about 4.
          expect(distance(y!, mergeHeads(output))).toBeLessThanOrEqual(spelling.half ? 4e-3 : 2e-6)
          if (spelling.hidden) expect([...y!.data.subarray(S * E)].every((x) => x === 0)).toBe(true)
          const left = findSites(model).filter((site) => ['attention', 'fused'].includes(site.verdict.kind))
          expect(left.map((site) => site.verdict.message)).toEqual([])
        })
      }
    }
  }
})
