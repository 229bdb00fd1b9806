import { expect } from 'vitest'
import { passes } from '../../passes/index.ts'
import { halfToNumber, numberToHalf } from '../../src/ir/elements.ts'
import type { Model } from '../../src/ir/index.ts'
import { parseModel } from '../../src/onnx/index.ts'
import { runPipeline } from '../../src/rewrite/index.ts'
import { targets } from '../../src/targets/index.ts'
import type { Dense } from './attention-reference.ts'
import { attend, broadcastPick, dense, generate, pick } from './attention-reference.ts'
import { TestData } from './fused-model.ts'
import type { KernelCase } from './kernel-cases.ts'
import { attentionOf } from './kernel-cases.ts'
import type { Job } from './ort-library.ts'

/** A block that the conversion makes one node of. */
export interface Block {
  readonly mask: 'none' | 'keys' | 'scores' | 'heads'
  /** What hides keys. Row 1 of the batch sees none. */
  readonly fill?: number
  readonly sink: number | readonly number[]
  readonly half?: boolean
}

const [B, S, H, D] = [2, 37, 3, 16]
const lowest = -3.4028234663852886e38
export const blocks: readonly Block[] = [
  { mask: 'none', sink: 0 },
  { mask: 'none', sink: [0.5, -2, 1.5] },
  { mask: 'keys', sink: 0, fill: lowest },
  { mask: 'scores', sink: -3, fill: -Infinity },
  { mask: 'heads', sink: [0.5, -2, 1.5], fill: -1e4 },
  { mask: 'none', sink: 0, half: true },
  { mask: 'keys', sink: [0.5, -2, 1.5], fill: -Infinity, half: true },
  { mask: 'heads', sink: 0, fill: -65504, half: true },
]

const data = new TestData(71)
const normal = (dims: readonly number[]): Dense => generate(dims, () => data.normal())
export const operands = (...dims: number[][]) => {
  const [q, k, v] = dims.map(normal)
  return { q: q!, k: k!, v: v! }
}

const maskDims = { none: [], keys: [B, 1, 1, S], scores: [B, 1, S, S], heads: [B, H, S, S] } as const
const given = new Map(
  blocks.map((block) => {
    const { mask, fill = 0 } = block
    const qkv = operands([B, S, H * D], [B, S, H * D], [B, S, H * D])
    const hides = () => data.uniform() < 0.3
    const bias = generate(maskDims[mask], ([b]) => (b === 1 || hides() ? fill : mask === 'heads' ? data.normal() : 0))
    return [block, mask === 'none' ? qkv : { ...qkv, mask: bias }] as const
  }),
)

/** The block as exporters write it, converted with the form `function`; inputs and output are float32. */
export function emitted(block: Block): Job {
  const feeds = given.get(block) as Job['feeds']
  const [type, to] = block.half ? ['float16', 10] : ['float', 1]
  const names = Object.keys(feeds)
  const inputs = Object.entries(feeds).map(([name, { dims }]) => `float[${dims.join(', ')}] ${name}`)
  const split = (name: string) => `${name}4 = Reshape (${name}x, split)`
  const model = parseModel(`
    <ir_version: 8, opset_import: ["" : 17]>
    block (${inputs.join(', ')}) => (float[${B}, ${S}, ${H * D}] y)
    <int64[4] split = {0, 0, ${H}, ${D}}, int64[3] merge = {0, 0, ${H * D}}, ${type} scale = {0.25}>
    {
      ${names.map((name) => `${name}x = Cast <to = ${to}> (${name})`).join(' ')}
      ${['q', 'k', 'v'].map(split).join(' ')}
      qt = Transpose <perm = [0, 2, 1, 3]> (q4) kt = Transpose <perm = [0, 2, 3, 1]> (k4) vt = Transpose <perm = [0, 2, 1, 3]> (v4)
      x = MatMul (qt, kt) z = Mul (x, scale) m = ${names.includes('mask') ? 'Add (z, maskx)' : 'Identity (z)'}
      p = Softmax <axis = -1> (m) c = MatMul (p, vt) t = Transpose <perm = [0, 2, 1, 3]> (c)
      o = Reshape (t, merge) y = Cast <to = 1> (o)
    }`)
  const target = { target: targets.get('ort')!, version: '1.20', provider: 'any' } as const
  const { report } = runPipeline(model, passes, { target, form: 'function', sink: () => block.sink })
  expect([...report.sites.values()]).toMatchObject([{ converted: true, form: 'function' }])
  return { model, feeds }
}

export function reference(block: Block): Dense {
  const { q, k, v, mask } = given.get(block) as Record<string, Dense>
  const heads = (x: Dense) => generate([B, H, S, D], ([b, h, s, d]) => x.data[((b! * S + s!) * H + h!) * D + d!]!)
  const { output } = attend({
    ...{ q: heads(q!), k: heads(k!), v: heads(v!), scale: 0.25 },
    sink: (h) => (typeof block.sink === 'number' ? block.sink : block.sink[h]!),
    ...(mask ? { bias: (...at: [number, number, number, number]) => broadcastPick(mask, at) } : {}),
  })
  return generate([B, S, H * D], ([b, s, e]) => output.data[((b! * H + Math.floor(e! / D)) * S + s!) * D + (e! % D)]!)
}

/** What belongs to row 1 of the batch. */
export const hidden = ({ data }: Dense): number[] => [...data.subarray(data.length / B)]

/** A model of the operator alone, in a type; what it is fed and gives is float32. */
export function nodeModel(feeds: Job['feeds'], type: 'float' | 'float16' | 'bfloat16', scale: number): Model {
  const to = { float: 1, float16: 10, bfloat16: 16 }[type]
  const inputs = Object.entries(feeds).map(([name, { dims }]) => `float[${dims.join(', ')}] ${name}`)
  const casts = Object.keys(feeds).map((name) => `${name}x = Cast <to = ${to}> (${name})`)
  const operands = ['q', 'k', 'v', 'mask', 'sink'].map((name) => (name in feeds ? `${name}x` : '""'))
  while (operands.at(-1) === '""') operands.pop()
  return parseModel(`
    <ir_version: 8, opset_import: ["" : 17, "outeffhop" : 1]>
    case (${inputs.join(', ')}) => (float[a, b, c, d] y)
    {
      ${casts.join(' ')}
      o = outeffhop.HopfieldAttention <scale: float = ${scale.toExponential()}> (${operands.join(', ')})
      y = Cast <to = 1> (o)
    }`)
}

/** Whether a mask of the type of the scores can hold the bias: where no sink undoes it, the lowest float32 is not -infinity. */
export function fitsMask({ type, noSink, bias }: KernelCase): boolean {
  return type !== 'f16' || !noSink || !bias?.some((x) => x < -65504 && x > -Infinity)
}

/** A case of the table as one node: what hides keys becomes a mask, and no sink is a sink of -infinity. */
export function caseJob(row: KernelCase): Job {
  const { batch, heads, kvHeads, queries, keys, headSize, valueSize, lengths, causal } = row
  // A mask cannot keep a key that is no number from the scores.
  const number = (x: number) => (Number.isNaN(x) ? 0 : x)
  const visible = (b: number, s: number, t: number): boolean => {
    const length = lengths?.[b] ?? keys
    return t < length && (!causal || t - length <= s - queries)
  }
  const masked = row.bias !== undefined || causal || lengths !== undefined
  const mask = generate([batch, heads, queries, keys], ([b, h, s, t]) =>
    visible(b!, s!, t!) ? (row.bias?.[((b! * heads + h!) * queries + s!) * keys + t!] ?? 0) : -Infinity,
  )
  const sink = row.noSink ? Array.from({ length: heads }, () => -Infinity) : row.sink
  const feeds = {
    q: dense([batch, heads, queries, headSize], row.q),
    k: dense([batch, kvHeads, keys, headSize], row.k.map(number)),
    v: dense([batch, kvHeads, keys, valueSize], row.v.map(number)),
    // Releases before 1.18 refuse an operator that leaves out an input in front of another one.
    ...(masked ? { mask } : sink ? { mask: dense([1, 1, 1, 1], [0]) } : {}),
    ...(sink ? { sink: dense([heads, 1, 1], sink) } : {}),
  }
  const type = ({ f32: 'float', f16: 'float16', bf16: 'bfloat16' } as const)[row.type]
  return { model: nodeModel(feeds, type, row.scale), feeds }
}

/** Where an output is further from what is wanted than rounding of weights, values and result explains. */
export function misjudged(row: KernelCase, output: Dense): string | undefined {
  const unit = { f32: 2 ** -24, f16: 2 ** -11, bf16: 2 ** -8 }[row.type]
  const spread = attentionOf({ ...row, v: row.v.map(Math.abs) })
  const smallest = row.type === 'f16' ? 2 ** -25 : 1e-30
  for (const [i, wanted] of row.wanted.entries()) {
    const got = output.data[i]!
    if (spread[i] === 0 && got !== 0) return `element ${i} is ${got} where every key is masked`
    const bound = (unit + 2e-5) * spread[i]! + unit * Math.abs(wanted) + smallest
    if (!(Math.abs(got - wanted) <= bound)) return `element ${i} is ${got} and not ${wanted}`
  }
  return row.wanted.length === output.data.length ? undefined : `has ${output.data.length} elements`
}

export function softmaxJob(
  axis: number,
  sinks: readonly number[],
  half: boolean,
): Job & { wanted: Dense; half: boolean } {
  const dims = [2, 3, 5, 7]
  const rounded = (x: number) => (half ? halfToNumber(numberToHalf(x)) : Math.fround(x))
  const x = generate(dims, ([b, h]) => (b === 0 && h === 0 ? -Infinity : rounded(4 * data.normal())))
  const sink = generate(sinks, () => rounded(data.normal()))
  const given = sinks.length > 0
  const at = axis < 0 ? axis + dims.length : axis
  const wanted = generate(dims, (index) => {
    const row = Array.from({ length: dims[at]! }, (_, i) => broadcastPick(x, index.with(at, i)))
    const logit = given ? broadcastPick(sink, index.with(at, 0)) : 0
    const top = Math.max(logit, ...row)
    return Math.exp(row[index[at]!]! - top) / row.reduce((sum, v) => sum + Math.exp(v - top), Math.exp(logit - top))
  })
  const to = half ? 10 : 1
  const model = parseModel(`
    <ir_version: 8, opset_import: ["" : 17, "outeffhop" : 1]>
    rows (float[2, 3, a, 7] x${given ? `, float[${sinks.join(', ')}] s` : ''}) => (float[a, b, c, d] y)
    {
      xx = Cast <to = ${to}> (x) ${given ? `sx = Cast <to = ${to}> (s)` : ''}
      o = outeffhop.HopfieldSoftmax1 <axis: int = ${axis}> (xx${given ? ', sx' : ''}) y = Cast <to = 1> (o)
    }`)
  return { model, feeds: given ? { x, s: sink } : { x }, wanted, half }
}

/**
 * Rows of 500 keys, of which most of the second and third 128 are filled; their scores are so far apart that some of these keys
 * have most of the weight in spite of that.
 */
export function longJob(fill: number): Job & { wanted: Dense } {
  const [queries, keys, size] = [29, 500, 16]
  const { q, k, v } = operands([1, 2, queries, size], [1, 2, keys, size], [1, 2, keys, size])
  const isFilled = (s: number, t: number) => t >= 128 && t < 384 - s
  const mask = generate([1, 1, queries, keys], ([, , s, t]) => (isFilled(s!, t!) ? fill : 0))
  const far = generate(k.dims, ([b, h, t, d]) => pick(k, [b!, h!, t!, d!]) * (isFilled(0, t!) ? 12 : 0.5))
  const { output } = attend({ q, k: far, v, scale: 1, sink: () => 0, bias: (...at) => broadcastPick(mask, at) })
  const feeds = { q, k: far, v, mask }
  return { model: nodeModel(feeds, 'float', 1), feeds, wanted: output }
}
