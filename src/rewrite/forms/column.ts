import type { Dim, DType, Graph, Node, Value } from '../../ir/index.ts'
import { dtypes, Tensor } from '../../ir/index.ts'
import type { Facts, Size } from '../../ops/index.ts'
import { dtypeOf, functionOf } from '../../ops/index.ts'
import type { Ops } from '../ops.ts'
import type { Softmax1Sink } from '../softmax1-node.ts'
import { sinkValue } from '../softmax1-node.ts'

/** The number of keys where an operand meets a value that grows. */
export interface Keys {
  /** The value that grows, and its (negative) key axis. */
  readonly value: Value
  readonly axis: number
  /** Their number before. */
  readonly size: Size | undefined
}

/** How an operand stands to the key axis: it has it, it is repeated along it, or its size there cannot be told. */
export type Fit = 'spans' | 'broadcasts' | 'unclear'

export function fitOf(operand: Value, axis: number, keys: Size | undefined, facts: Facts): Fit {
  const rank = facts.rank(operand)
  if (rank === undefined) return 'unclear'
  if (rank < -axis) return 'broadcasts'
  const size = facts.size(operand, axis)
  if (size === keys) return 'spans'
  if (size === 1) return 'broadcasts'
  return typeof size === 'number' ? 'spans' : 'unclear'
}

/** Where the new element stands on its axis. */
export type Edge = 'start' | 'end'

/**
 * Operands with one more column at one end of the key axis, made where they are first read and shared by all sites of one
 * run. An operand that (perhaps) broadcasts over the keys is expanded first, so that the column is its own.
 */
export class Columns {
  readonly facts: Facts
  readonly edge: Edge
  readonly #made = new Map<string, { readonly value: Value; readonly before: number }>()
  readonly #orders = new Map<Graph, ReadonlyMap<Node, number>>()
  readonly #ids = new Map<object, number>()

  constructor(facts: Facts, edge: Edge = 'end') {
    this.facts = facts
    this.edge = edge
  }

  /** Why `operand` cannot get a column that holds `fill`; undefined when it can. */
  objection(operand: Value, fill: number | Softmax1Sink): string | undefined {
    if (this.facts.rank(operand) === undefined) return `the rank of "${operand.name}" is not known`
    return fill === 0 || dtypeOf(operand) !== undefined ? undefined : `the type of "${operand.name}" is not known`
  }

  /** `operand` with a column of `fill`, for a reader before which `ops` builds. */
  with(operand: Value, axis: number, fill: number | Softmax1Sink, fit: Fit, keys: Keys, ops: Ops): Value {
    const long = (): Value => (fit === 'spans' ? operand : this.#expanded(operand, axis, keys, ops))
    if (typeof fill !== 'number') return this.#withSinks(long(), operand, axis, fill, keys, ops)
    const expansion = fit === 'spans' ? '' : keys.size
    const key = `${this.#id(ops.place.graph)}/${this.#id(operand)}/${axis}/${fill}/${expansion}`
    return this.#once(key, ops, () => {
      const rank = Math.max(this.facts.rank(operand) ?? 0, -axis)
      const dtype = dtypeOf(operand)
      const padded = padColumn(long(), rank, axis, fill, dtype, this.edge, ops)
      declare(padded, operand.shape, rank, axis, dtype, keys)
      return padded
    })
  }

  #expanded(operand: Value, axis: number, keys: Keys, ops: Ops): Value {
    const ones = Array.from({ length: -axis - 1 }, () => 1)
    const length = this.#length(keys, ops)
    return ops.Expand(operand, ones.length === 0 ? length : ops.Concat([length, ops.ints(ones)], 0))
  }

  /** The number of keys as a 1-D tensor: the length of what has grown, less one. */
  #length({ value, axis }: Keys, ops: Ops): Value {
    return this.#once(`length/${this.#id(ops.place.graph)}/${this.#id(value)}/${axis}`, ops, () => {
      const end = axis === -1 ? Number.MAX_SAFE_INTEGER : axis + 1
      return ops.Sub(ops.Slice(ops.Shape(value), [axis], [end], [0]), ops.ints([1]))
    })
  }

  /** A column that differs by head: the operand is repeated for every head first. */
  #withSinks(long: Value, operand: Value, axis: number, sink: Softmax1Sink, keys: Keys, ops: Ops): Value {
    const dtype = dtypeOf(operand)
    const rank = Math.max(this.facts.rank(operand) ?? 0, -axis, -(sink.heads?.axis ?? -1))
    const at = rank + (sink.heads?.axis ?? -1)
    const ones = Array.from({ length: rank }, () => 1)
    const perHead = ops.Expand(long, ops.ints(ones.with(at, sink.values.length)))
    const joined = joinSink(perHead, rank, axis, sink, dtype, this.edge, ops)
    const dims = operand.shape?.length === rank ? operand.shape.with(at, sink.values.length) : undefined
    declare(joined, dims, rank, axis, dtype, keys)
    return joined
  }

  /** A value built before; it is used again by readers behind the one it was built for. */
  #once(key: string, { place }: Ops, make: () => Value): Value {
    const at = place.before ? (this.#orderOf(place.graph).get(place.before) ?? -1) : Number.POSITIVE_INFINITY
    const known = this.#made.get(key)
    if (known && known.before <= at) return known.value
    const value = make()
    if (at >= 0) this.#made.set(key, { value, before: at })
    return value
  }

  /** Places of the nodes that were there when the first column of the graph was built: readers are among them. */
  #orderOf(graph: Graph): ReadonlyMap<Node, number> {
    const known = this.#orders.get(graph)
    if (known) return known
    const order = new Map([...graph.nodes()].map((node, index) => [node, index]))
    this.#orders.set(graph, order)
    return order
  }

  #id(object: object): number {
    const id = this.#ids.get(object) ?? this.#ids.size
    this.#ids.set(object, id)
    return id
  }
}

/**
 * Declares the grown length by a name that all values of that length share, so that the runtime sees which tensors are of one
 * size and reuses their memory. Numbers are left to the runtime's own inference, other axes to what the file says.
 */
function declare(
  value: Value,
  dims: readonly Dim[] | undefined,
  rank: number,
  axis: number,
  dtype: DType | undefined,
  { size }: Keys,
): void {
  // Calls of a function may differ in their sizes.
  if (dtype === undefined || typeof size !== 'string' || functionOf(value.graph)) return
  const shape: Dim[] = dims?.length === rank ? [...dims] : Array.from({ length: rank }, () => undefined)
  value.type = { kind: 'tensor', dtype, shape: shape.with(axis, grownDim(size)) }
}

/** The declared length of a key axis with the column. */
export function grownDim(size: Size): number | string {
  return typeof size === 'number' ? size + 1 : `${size.replaceAll(/[⟨⟩]/g, '')}+1`
}

/** Pads one element at one end of an axis. Booleans, which Pad takes from opset 13 on, go through float before. */
export function padColumn(
  x: Value,
  rank: number,
  axis: number,
  fill: number,
  dtype: DType | undefined,
  edge: Edge,
  ops: Ops,
): Value {
  const place = (edge === 'start' ? rank : 2 * rank) + axis
  const pads = Array.from({ length: 2 * rank }, (_, i) => (i === place ? 1 : 0))
  const direct =
    ops.place.opset >= 13 ||
    (dtype !== dtypes.bool && (ops.place.opset >= 11 || dtype === undefined || dtype === dtypes.float))
  if (direct || dtype === undefined) return ops.Pad(x, pads, fill, dtype)
  return ops.Cast(ops.Pad(ops.Cast(x, dtypes.float), pads, fill), dtype)
}

/** `x` with the sink as one more element at one end of an axis. */
export function joinSink(
  x: Value,
  rank: number,
  axis: number,
  sink: Softmax1Sink,
  dtype: DType | undefined,
  edge: Edge,
  ops: Ops,
): Value {
  if (!sink.heads) return padColumn(x, rank, axis, sink.values[0] as number, dtype, edge, ops)
  const one = oneHot(rank, axis, ops)
  const others = ops.ints(Array.from({ length: rank }, (_, i) => (i === rank + axis ? 0 : 1)))
  const shape = ops.Add(ops.Mul(ops.Shape(x), others), one)
  const scores = [ops.Expand(sinkValue(ops, sink, x, dtype), shape)]
  return ops.Concat(edge === 'start' ? [...scores, x] : [x, ...scores], ops.place.opset < 11 ? rank + axis : axis)
}

/** A 1-D int64 constant that is 1 at a (negative) axis of `rank` and 0 elsewhere. */
export function oneHot(rank: number, axis: number, ops: Ops): Value {
  return ops.constant(Tensor.int64(Array.from({ length: rank }, (_, i) => (i === rank + axis ? 1 : 0))))
}
