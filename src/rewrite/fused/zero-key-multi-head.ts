import type { Node, Value } from '../../ir/index.ts'
import { dtypes, Tensor } from '../../ir/index.ts'
import type { FusedPart } from '../../targets/index.ts'
import type { Unsupported } from './expansion.ts'
import { unsupported } from './expansion.ts'
import { hasKnownBias, multiHeadInputs as ports, projectionBias } from './multi-head-attention.ts'
import type { Workbench } from './workbench.ts'
import type { SinkLogits } from './zero-row.ts'
import { dividedLength, dropFront, inFront, isZeroSink, withSinkColumn, zeroMask, zeroPast } from './zero-row.ts'

/** What a com.microsoft::MultiHeadAttention has beside q, k and v, or why it cannot be given a zero key where it stands. */
export function partsOfMultiHead(node: Node, bench: Workbench, sink: SinkLogits): FusedPart[] | Unsupported {
  const { facts } = bench
  const [key, value] = [node.input(ports.key), node.input(ports.value)]
  if (!key || !value) return unsupported('packs its keys and values with something else')
  if (node.input(ports.pastLength) || node.input(ports.beams)) return unsupported('keeps its cache in a shared buffer')
  const rank = facts.rank(key) ?? facts.rank(value)
  if (rank === undefined) return unsupported('has keys of unknown rank')
  if (!hasKnownBias(node, facts)) return unsupported('has a bias of unknown parts')
  const causal = (facts.int(node, 'unidirectional') ?? 0) !== 0
  if (causal && rank === 4) return unsupported('counts positions of keys that come split into heads')
  const parts: FusedPart[] = []
  const padding = node.input(ports.padding)
  const bias = node.input(ports.attentionBias)
  if (padding) {
    const paddingRank = facts.rank(padding)
    if (bench.op.place.opset < 11) return unsupported('has an integer mask, which Pad takes from opset 11 on')
    if (paddingRank === undefined) return unsupported('has a padding mask of unknown rank')
    const batch = facts.size(node.input(ports.query) as Value, -3)
    if (paddingRank === 1 && facts.size(padding, -1) !== batch)
      return unsupported('may have offsets in its padding mask')
    parts.push('mask')
  }
  if (bias || !isZeroSink(sink)) parts.push('bias')
  if (causal) parts.push('causal')
  if (node.input(ports.pastKey)) parts.push('cache')
  else if (node.output(1) || node.output(2)) parts.push('present-alone')
  if (node.output(3)) parts.push('scores')
  return parts
}

/** Puts a zero key and a zero value in front of what a com.microsoft::MultiHeadAttention attends to, as for Attention. */
export function giveMultiHeadZeroKey(node: Node, bench: Workbench, sink: SinkLogits): void {
  const { facts } = bench
  addProjectionBias(node, bench)
  const [key, value] = [node.input(ports.key), node.input(ports.value)] as [Value, Value]
  const rank = (facts.rank(key) ?? facts.rank(value)) as number
  const padding = node.input(ports.padding)
  if (padding) node.setInput(ports.padding, longerPadding(bench, padding))
  const bias = node.input(ports.attentionBias) ?? (isZeroSink(sink) ? undefined : biasOfZeros(node, bench))
  if (bias) node.setInput(ports.attentionBias, withSinkColumn(bench, bias, 4, sink))
  const past = [ports.pastKey, ports.pastValue].map((port) => node.input(port))
  const causal = (facts.int(node, 'unidirectional') ?? 0) !== 0
  if (past[0] && past[1]) {
    node.setInput(ports.pastKey, inFront(bench, past[0], 4, -2))
    node.setInput(ports.pastValue, inFront(bench, past[1], 4, -2))
  } else if (causal) addPast(node, bench)
  else {
    node.setInput(ports.key, inFront(bench, key, rank, -2))
    node.setInput(ports.value, inFront(bench, value, rank, -2))
  }
  dropFront(node, 1, 2, bench)
  dropFront(node, 2, 2, bench)
  dropFront(node, 3, 3, bench)
  if (!node.input(ports.pastKey)) return
  // Without declared present outputs the runtime ignores or misreads the past, in silence.
  for (const index of [1, 2]) {
    if (!node.output(index)) node.setOutput(index, node.graph.newValue(`${node.label}/present_${index}`))
  }
}

/** Something the sink can be written into. */
function biasOfZeros(node: Node, bench: Workbench): Value {
  const [queries, keys, past] = [ports.query, ports.key, ports.pastKey].map((port) => node.input(port))
  return zeroMask(bench, { queries: queries as Value, keys: keys as Value, past })
}

/** The operator adds its bias to every key, also to a zero one: it is added before instead. */
function addProjectionBias(node: Node, bench: Workbench): void {
  const parts = projectionBias(node, bench)
  const split = bench.facts.rank(node.input(ports.key) as Value) === 4
  for (const [port, part] of parts.entries()) {
    const value = node.input(port)
    if (value && part && (port === 0 || !split)) node.setInput(port, bench.op.Add(value, part))
  }
  node.setInput(ports.bias, undefined)
}

function addPast(node: Node, bench: Workbench): void {
  const heads = bench.facts.int(node, 'num_heads') as number
  const query = node.input(ports.query) as Value
  for (const [port, pastPort] of [
    [ports.key, ports.pastKey],
    [ports.value, ports.pastValue],
  ] as const) {
    const size = dividedLength(bench, { value: node.input(port) as Value, axis: -1 }, heads)
    node.setInput(pastPort, zeroPast(bench, { batch: { value: query, axis: -3 }, heads, size }))
  }
}

/** Lengths count one more; masks show one more key. */
function longerPadding(bench: Workbench, mask: Value): Value {
  const { op, facts } = bench
  const rank = facts.rank(mask) as number
  if (rank > 1) return inFront(bench, mask, rank, -1, 1)
  return bench.once(`one more ${mask.name}`, () => op.Add(mask, op.constant(Tensor.of(dtypes.int32, [1], [1]))))
}
