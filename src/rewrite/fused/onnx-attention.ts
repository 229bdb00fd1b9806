import type { Node, Value } from '../../ir/index.ts'
import { dtypes, Tensor } from '../../ir/index.ts'
import { dtypeOf } from '../../ops/index.ts'
import { attend } from './attend.ts'
import type { Frame } from './bias.ts'
import { asInt64, beforeWindow, beyondLength, fillWhere, fillWhereNot, future, sumOf } from './bias.ts'
import type { Expansion, Unsupported } from './expansion.ts'
import { unsupported } from './expansion.ts'
import type { Workbench } from './workbench.ts'

/** Inputs of ai.onnx Attention, opset 23 to 26. */
export const onnxAttentionInputs = {
  q: 0,
  k: 1,
  v: 2,
  mask: 3,
  pastKey: 4,
  pastValue: 5,
  lengths: 6,
} as const

const { q: Q, k: K, v: V, mask: MASK, pastKey, pastValue, lengths: LENGTHS } = onnxAttentionInputs

/**
 * ai.onnx Attention (opset 23 to 26) in standard operators, as its specification defines it.
 *
 * Query i sees key j when `j <= i + offset`: the offset is the length of the past, or `nonpad_kv_seqlen - S` for a cache
 * outside of the operator. A query that sees no key is NaN where the operator gives 0; Softmax1 gives 0 again.
 */
export function expandOnnxAttention(node: Node, bench: Workbench): Expansion | Unsupported {
  const { op, facts } = bench
  const inputs = [Q, K, V].map((port) => node.input(port))
  const [query, key, value] = inputs
  if (!query || !key || !value) return unsupported('lacks queries, keys or values')
  const mask = node.input(MASK)
  if (mask && dtypeOf(mask) === undefined) return unsupported('has a mask of unknown type')
  const heads = headCounts(node, bench)
  if (typeof heads === 'string') return unsupported(heads)
  const packed = heads.packed
  const q = packed ? bench.splitHeads(query, heads.q) : query
  const newKey = packed ? bench.splitHeads(key, heads.kv) : key
  const newValue = packed ? bench.splitHeads(value, heads.kv) : value
  const past = node.input(pastKey)
  const cachedValue = node.input(pastValue)
  const presentKey = past ? op.Concat([past, newKey], 2) : newKey
  const presentValue = cachedValue ? op.Concat([cachedValue, newValue], 2) : newValue
  const frame = frameOf(node, bench, { queries: { value: q, axis: -2 }, keys: { value: presentKey, axis: -2 } })
  const softmaxType = facts.int(node, 'softmax_precision')
  const result = attend(bench, {
    q,
    k: repeatHeads(bench, presentKey, heads),
    v: repeatHeads(bench, presentValue, heads),
    scale: facts.float(node, 'scale'),
    softcap: facts.float(node, 'softcap') ?? 0,
    bias: sumOf(bench, maskBias(node, bench, frame), hiddenBias(node, bench, frame)),
    softmaxType,
  })
  const shown = [result.raw, result.capped, result.scores, result.probabilities]
  return {
    scores: result.entering,
    normalised: result.normalised,
    outputs: [
      packed ? bench.mergeHeads(result.output) : result.output,
      node.output(1) && presentKey,
      node.output(2) && presentValue,
      node.output(3) && shown[facts.int(node, 'qk_matmul_output_mode') ?? 0],
    ],
  }
}

interface HeadCounts {
  readonly q: number
  readonly kv: number
  /** [B, S, H*D] inputs instead of [B, H, S, D]. */
  readonly packed: boolean
}

function headCounts(node: Node, { facts }: Workbench): HeadCounts | string {
  const ranks = [Q, K, V].map((port) => node.input(port)).map((v) => v && facts.rank(v))
  const rank = ranks.find((r) => r !== undefined)
  const q = facts.int(node, 'q_num_heads')
  const kv = facts.int(node, 'kv_num_heads')
  const packed = rank === undefined ? q !== undefined : rank === 3
  if (packed) return q === undefined || kv === undefined ? 'does not say how many heads it has' : { q, kv, packed }
  const sizes = [Q, K].map((port) => facts.size(node.input(port) as Value, -3))
  const [queries, keys] = [q ?? sizes[0], kv ?? sizes[1]]
  if (queries !== undefined && queries === keys) return { q: 1, kv: 1, packed }
  if (typeof queries !== 'number' || typeof keys !== 'number') return 'has head counts that are not known'
  return { q: queries, kv: keys, packed }
}

/** Each head of keys or values serves a group of query heads: 0, 0, 1, 1, … */
function repeatHeads({ op }: Workbench, x: Value, { q, kv }: HeadCounts): Value {
  if (q === kv) return x
  const group = q / kv
  const indices = Tensor.int64(Array.from({ length: q }, (_, i) => Math.floor(i / group)))
  return op.Gather(x, op.constant(indices), 1)
}

/** The offset of the first query among the keys. */
function frameOf(node: Node, bench: Workbench, axes: Pick<Frame, 'queries' | 'keys'>): Frame {
  const past = node.input(pastKey)
  if (past) return { ...axes, offset: { value: past, axis: -2 } }
  const lengths = node.input(LENGTHS)
  if (!lengths) return axes
  const { op } = bench
  const offset = bench.once(`offset ${lengths.name} ${bench.sizeName(axes.queries)}`, () =>
    op.Sub(asInt64(bench, lengths), bench.length(axes.queries)),
  )
  return { ...axes, offset }
}

/** attn_mask as something to add. With lengths given it may be shorter than the keys, which hides the rest. */
function maskBias(node: Node, bench: Workbench, { keys }: Frame): Value | undefined {
  const mask = node.input(MASK)
  if (!mask) return undefined
  const isBoolean = dtypeOf(mask) === dtypes.bool
  const bias = isBoolean ? fillWhereNot(bench, mask, Number.NEGATIVE_INFINITY) : mask
  return mayBeShort(node, bench, mask, keys.value) ? padTo(bench, bias, keys) : bias
}

function mayBeShort(node: Node, { facts }: Workbench, mask: Value, keys: Value): boolean {
  const [width, count] = [facts.size(mask, -1), facts.size(keys, -2)]
  if (typeof width === 'number' && typeof count === 'number') return width !== 1 && width < count
  return node.input(LENGTHS) !== undefined && width !== count
}

/** Appends -inf to the last axis up to the number of keys. */
function padTo(bench: Workbench, bias: Value, keys: Frame['keys']): Value {
  const { op } = bench
  const shape = op.Shape(bias)
  const rest = op.Sub(bench.length(keys), bench.length({ value: bias, axis: -1 }))
  const outer = op.Slice(shape, [0], [-1], [0])
  const fill = Tensor.of(bench.dtype, [1], [Number.NEGATIVE_INFINITY])
  return op.Concat([bias, op.ConstantOfShape(op.Concat([outer, rest], 0), fill)], -1)
}

/** Keys hidden by position: the future, what lies outside the window, padding of the cache. */
function hiddenBias(node: Node, bench: Workbench, frame: Frame): Value | undefined {
  const { facts, op } = bench
  const causal = (facts.int(node, 'is_causal') ?? 0) !== 0
  const left = facts.int(node, 'left_window_size') ?? -1
  const right = facts.int(node, 'right_window_size') ?? -1
  const lengths = node.input(LENGTHS)
  const hidden: Value[] = []
  if (causal) hidden.push(future(bench, frame))
  if (right >= 0 && !causal) hidden.push(future(bench, frame, right))
  if (left >= 0) hidden.push(beforeWindow(bench, frame, left))
  if (lengths) hidden.push(beyondLength(bench, frame.keys, asInt64(bench, lengths)))
  const [first, ...rest] = hidden
  if (!first) return undefined
  const all = rest.reduce((a, b) => bench.once(`or ${a.name} ${b.name}`, () => op.Or(a, b)), first)
  return fillWhere(bench, all, Number.NEGATIVE_INFINITY)
}
