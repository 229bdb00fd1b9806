import type { Heads, Site } from '../attention/index.ts'
import type { Node, Value } from '../ir/index.ts'
import { attr, dtypes, Tensor } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { dtypeOf } from '../ops/index.ts'
import type { SharedValues } from '../rewrite/index.ts'
import { expandFused, isExpandable, Ops, opsetOf } from '../rewrite/index.ts'
import { opsAtEnd } from './outlets.ts'

/** `L = ln Σ exp(x)` of the rows of an attention, in single precision; the normalised axis, if it is there, has size 1. */
export interface Rows {
  readonly l: Value
  readonly heads: Heads | undefined
  /** What was built on the way and need not be computed. */
  readonly unread: readonly Value[]
}

/**
 * Builds the L of the rows of an attention beside it, in its graph; why that cannot be, otherwise.
 *
 * Where scores and probabilities are values it is `max(x) - ln(max(softmax(x)))`, which needs no exponential. A fused operator
 * stays, and the standard operators for its scores stand beside it: what it gives does not change. GroupQueryAttention, which
 * has none, runs once more with a sink s and values of one: its output is `sigmoid(L - s)`.
 */
export function rowsOf(site: Site, facts: Facts, shared: SharedValues): Rows | string {
  const { node, input, output, axis, heads } = site
  if (input !== undefined) {
    const rank = facts.rank(input)
    const along = rank === undefined ? axis : rank + axis
    const op = opsAtEnd(site.graph)
    // Of a division after the product with values, what is there are exponentials.
    const probability = site.context
      ? op.Div(op.ReduceMax(output, along), op.ReduceSum(output, along))
      : op.ReduceMax(output, along)
    return { l: single(op, op.Sub(op.ReduceMax(input, along), op.Log(probability)), input), heads, unread: [] }
  }
  if (node.op === 'com.microsoft::GroupQueryAttention') return groupQueryRows(node, facts)
  if (!isExpandable(node)) return `is one fused ${node.op}, beside which its scores cannot be computed`
  const expansion = expandFused(node, facts, shared)
  if ('unsupported' in expansion) return expansion.unsupported
  const { scores, normalised, outputs } = expansion
  const op = opsBefore(node)
  const l = op.Sub(op.ReduceMax(scores, 3), op.Log(op.ReduceMax(normalised, 3)))
  return {
    l: single(op, l, scores),
    heads: headsOf(node, facts),
    unread: outputs.filter((value) => value !== undefined),
  }
}

function headsOf(node: Node, facts: Facts): Heads | undefined {
  const [query] = node.inputs
  const given = facts.int(node, node.domain === '' ? 'q_num_heads' : 'num_heads')
  const count = given ?? (query && facts.rank(query) === 4 ? facts.size(query, -3) : undefined)
  return typeof count === 'number' ? { axis: -3, count, merged: false } : undefined
}

/** Inputs of com.microsoft::GroupQueryAttention, and those that have its element type. */
const floats: ReadonlySet<number> = new Set([0, 1, 2, 3, 4, 7, 8, 10])
const ports = { query: 0, key: 1, value: 2, pastValue: 4, sink: 11, keyScale: 12, valueScale: 13 } as const

/**
 * The sink rows are measured against. Above most L there are, where a float has all its digits: sigmoid(L - s) is `exp(L - s)`
 * down to L = -57. Rows above 40 count as 40, which asks for no higher sink than they do.
 */
const reference = 30
const mostAbove = 10

function groupQueryRows(node: Node, facts: Facts): Rows | string {
  const { query, key, value, pastValue } = ports
  const [heads, kvHeads] = ['num_heads', 'kv_num_heads'].map((name) => facts.int(node, name))
  if (heads === undefined || kvHeads === undefined) return 'does not say how many heads it has'
  if (node.input(ports.keyScale) || node.input(ports.valueScale)) return 'has a quantized cache'
  const op = opsBefore(node)
  const inputs = node.inputs.map((input, port) => (input && floats.has(port) ? single(op, input, input) : input))
  const replace = (port: number, by: (value: Value) => Value): void => {
    const given = inputs[port]
    if (given) inputs[port] = by(given)
  }
  replace(value, (given) => ones(op, given))
  replace(pastValue, (given) => ones(op, given))
  if (!inputs[key]) replace(query, (packed) => packedOnes(op, packed, heads, kvHeads))
  while (inputs.length <= ports.sink) inputs.push(undefined)
  inputs[ports.sink] = op.constant(
    Tensor.of(
      dtypes.float,
      [heads],
      Array.from({ length: heads }, () => reference),
    ),
  )
  const outputs = ['rows', 'key', 'value'].map((name) => node.graph.newValue(`${node.label}/outeffhop/${name}`))
  const attributes = new Map(node.attributes).set('smooth_softmax', attr.int(0))
  attributes.delete('qk_output')
  const { opType, domain, graph } = node
  const name = outputs[0]?.name ?? ''
  graph.insert({ name, opType, domain, attributes }, inputs, outputs, node)
  const split = op.Reshape(outputs[0] as Value, op.ints([0, 0, heads, -1]))
  const share = op.Slice(split, [0], [1], [-1])
  const number = (x: number): Value => op.scalar(x, dtypes.float)
  const l = op.Sub(op.Log(share), op.Log(op.Sub(number(1), share)))
  const shifted = op.Add(op.Min(l, number(mostAbove)), number(reference))
  return { l: shifted, heads: { axis: -2, count: heads, merged: false }, unread: [] }
}

function ones(op: Ops, like: Value): Value {
  return op.ConstantOfShape(op.Shape(like), Tensor.of(dtypes.float, [1], [1]))
}

/** Queries and keys of a packed [B, S, (H + 2 Hkv) D] with values of one. */
function packedOnes(op: Ops, packed: Value, heads: number, kvHeads: number): Value {
  const all = op.Reshape(packed, op.ints([0, 0, heads + 2 * kvHeads, -1]))
  const cut = (from: number, to: number): Value => op.Slice(all, [from], [to], [2])
  const values = ones(op, cut(heads + kvHeads, heads + 2 * kvHeads))
  return op.Reshape(op.Concat([cut(0, heads + kvHeads), values], 2), op.ints([0, 0, -1]))
}

function opsBefore(node: Node): Ops {
  return new Ops({ graph: node.graph, before: node, name: `${node.label}/outeffhop`, opset: opsetOf(node.graph) })
}

/** In single precision, which `like` tells whether it is already. */
function single(op: Ops, value: Value, like: Value): Value {
  return dtypeOf(like) === dtypes.float ? value : op.Cast(value, dtypes.float)
}
