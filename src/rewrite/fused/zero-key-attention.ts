import type { Node, Value } from '../../ir/index.ts'
import { dtypeOf } from '../../ops/index.ts'
import type { FusedPart } from '../../targets/index.ts'
import type { Unsupported } from './expansion.ts'
import { unsupported } from './expansion.ts'
import { onnxAttentionInputs as ports } from './onnx-attention.ts'
import type { AxisAt, Workbench } from './workbench.ts'
import type { SinkLogits } from './zero-row.ts'
import {
  asLogits,
  dividedLength,
  dropFront,
  inFront,
  isBoolean,
  isZeroSink,
  withSinkColumn,
  zeroMask,
  zeroPast,
} from './zero-row.ts'

/** What an ai.onnx Attention has beside q, k and v, or why it cannot be given a zero key where it stands. */
export function partsOfAttention(node: Node, { facts }: Workbench, sink: SinkLogits): FusedPart[] | Unsupported {
  const mask = node.input(ports.mask)
  const causal = (facts.int(node, 'is_causal') ?? 0) !== 0
  const parts: FusedPart[] = []
  if (mask) {
    if (facts.rank(mask) === undefined || dtypeOf(mask) === undefined)
      return unsupported('has a mask of unknown rank or type')
    parts.push((facts.rank(mask) as number) >= 3 && facts.size(mask, -3) !== 1 ? 'mask-per-head' : 'mask')
  } else if (!isZeroSink(sink)) parts.push('mask')
  if (causal) parts.push('causal')
  if ((facts.float(node, 'softcap') ?? 0) !== 0 && parts.length > 0) parts.push('softcap-and-mask')
  if (node.input(ports.pastKey)) parts.push('cache')
  else if (node.output(1) || node.output(2)) parts.push('present-alone')
  if (node.output(3)) parts.push('scores')
  if (node.input(ports.lengths)) parts.push(causal ? 'causal-lengths' : 'lengths')
  if (['left_window_size', 'right_window_size'].some((name) => (facts.int(node, name) ?? -1) >= 0)) parts.push('window')
  return parts
}

/**
 * Puts a zero key and a zero value in front of what an ai.onnx Attention attends to: as a past of length 1 where the
 * operator counts positions, else as a first row. Outputs keep their names and sizes.
 *
 * `softmax1(x; s) · v = softmax([s, x]) · [0; v]`
 */
export function giveAttentionZeroKey(node: Node, bench: Workbench, sink: SinkLogits): void {
  const { op } = bench
  const rank =
    bench.facts.rank(node.input(ports.k) as Value) ?? (bench.facts.int(node, 'q_num_heads') === undefined ? 4 : 3)
  const mask = node.input(ports.mask) ?? (isZeroSink(sink) ? undefined : maskOfZeros(node, bench))
  if (mask) node.setInput(ports.mask, longerMask(node, bench, mask, sink))
  const lengths = node.input(ports.lengths)
  if (lengths)
    node.setInput(
      ports.lengths,
      bench.once(`one more ${lengths.name}`, () => op.Add(lengths, op.ints([1]))),
    )
  const past = [ports.pastKey, ports.pastValue].map((port) => node.input(port))
  const causal = (bench.facts.int(node, 'is_causal') ?? 0) !== 0
  if (past[0] && past[1]) {
    node.setInput(ports.pastKey, inFront(bench, past[0], 4, -2))
    node.setInput(ports.pastValue, inFront(bench, past[1], 4, -2))
  } else if (causal && !lengths) addPast(node, bench, rank)
  else {
    for (const port of [ports.k, ports.v]) node.setInput(port, inFront(bench, node.input(port) as Value, rank, -2))
  }
  dropFront(node, 1, 2, bench)
  dropFront(node, 2, 2, bench)
  dropFront(node, 3, 3, bench)
  if (!node.input(ports.pastKey)) return
  // The runtime takes a past only where all present outputs are declared.
  for (const index of [1, 2]) {
    if (!node.output(index)) node.setOutput(index, node.graph.newValue(`${node.label}/present_${index}`))
  }
}

/** Something the sink can be written into. */
function maskOfZeros(node: Node, bench: Workbench): Value {
  const [queries, keys, past] = [ports.q, ports.k, ports.pastKey].map((port) => node.input(port))
  return zeroMask(bench, { queries: queries as Value, keys: keys as Value, past })
}

function addPast(node: Node, bench: Workbench, rank: number): void {
  const packed = rank === 3
  const kvHeads = bench.facts.int(node, 'kv_num_heads') ?? 1
  for (const [port, pastPort] of [
    [ports.k, ports.pastKey],
    [ports.v, ports.pastValue],
  ] as const) {
    const value = node.input(port) as Value
    const at = (axis: number): AxisAt => ({ value, axis })
    const past = zeroPast(bench, {
      batch: at(-rank),
      heads: packed ? kvHeads : at(-3),
      size: packed ? dividedLength(bench, at(-1), kvHeads) : bench.length(at(-1)),
    })
    node.setInput(pastPort, past)
  }
}

/** The mask with one more column; its query axis is spelled out, as the kernels want it. */
function longerMask(node: Node, bench: Workbench, mask: Value, sink: SinkLogits): Value {
  const { op, facts } = bench
  const rank = facts.rank(mask) as number
  const queries: AxisAt = { value: node.input(ports.q) as Value, axis: -2 }
  const oneRow = rank === 1 || facts.size(mask, -2) === 1
  const wide =
    oneRow && facts.size(queries.value, -2) !== 1
      ? bench.once(`rows ${mask.name} ${bench.sizeName(queries)}`, () =>
          op.Expand(mask, op.Concat([bench.length(queries), op.ints([1])], 0)),
        )
      : mask
  const wideRank = Math.max(rank, 2)
  if (isBoolean(mask)) {
    if (isZeroSink(sink)) return inFront(bench, wide, wideRank, -1, 1)
    return withSinkColumn(bench, asLogits(bench, wide), wideRank, sink)
  }
  return withSinkColumn(bench, wide, wideRank, sink)
}
