import type { Value } from '../../ir/index.ts'
import { dtypes, Tensor } from '../../ir/index.ts'
import type { Facts } from '../../ops/index.ts'
import { dtypeOf } from '../../ops/index.ts'
import { Ops } from '../ops.ts'

/** How many keys there are, as a size and (made when first needed) as a 1-D int64 value computed in the graph. */
export interface KeyLength {
  readonly size: number | string | undefined
  value(ops: Ops): Value
}

/**
 * Values with one more column on the key axis. An operand that is as long as the keys is padded once beside its producer
 * and shared between sites; one that broadcasts over the keys is expanded first, so that the new column stays its own.
 */
export class Columns {
  readonly #made = new Map<Value, Map<string, Value>>()

  /** Why `operand` cannot get a column; undefined when it can. */
  objection(operand: Value, facts: Facts): string | undefined {
    if (dtypeOf(operand) === undefined) return `the type of "${operand.name}" is not known`
    if (facts.rank(operand) === undefined) return `the rank of "${operand.name}" is not known`
    return undefined
  }

  /** `operand` with a column of `fill` at the end of its (negative) key axis, for a reader at `reader`. */
  padded(operand: Value, axis: number, fill: number, keys: KeyLength, facts: Facts, reader: Ops): Value {
    const rank = facts.rank(operand) ?? 0
    const dtype = dtypeOf(operand) ?? dtypes.float
    const own = -axis <= rank ? facts.size(operand, axis) : 1
    if (own === undefined || own !== keys.size)
      return padColumn(expandTo(operand, axis, rank, keys, reader), Math.max(rank, -axis), axis, fill, dtype, reader)
    const { graph } = reader.place
    const key = `${axis}/${fill}/${graph === operand.graph}`
    const made = this.#made.get(operand) ?? new Map<string, Value>()
    this.#made.set(operand, made)
    const known = made.get(key)
    if (known?.graph === graph) return known
    const value = padColumn(operand, rank, axis, fill, dtype, besideProducer(operand, reader))
    made.set(key, value)
    return value
  }
}

/** A builder right behind the producer of a value: visible to every reader of the graph. */
function besideProducer(value: Value, reader: Ops): Ops {
  const { place } = reader
  const behind = value.graph === place.graph ? value.producer : undefined
  const [first] = place.graph.nodes()
  return new Ops({ ...place, name: value.name, before: behind ? behind.next : first })
}

/** Pads one element at the end of an axis. Booleans, which Pad takes from opset 13 on, go through float before. */
export function padColumn(x: Value, rank: number, axis: number, fill: number, dtype: number, ops: Ops): Value {
  const pads = Array.from({ length: 2 * rank }, (_, i) => (i === 2 * rank + axis ? 1 : 0))
  const direct = ops.place.opset >= 13 || (dtype !== dtypes.bool && (ops.place.opset >= 11 || dtype === dtypes.float))
  if (direct) return ops.Pad(x, pads, fill, dtype)
  return ops.Cast(ops.Pad(ops.Cast(x, dtypes.float), pads, fill), dtype)
}

function expandTo(operand: Value, axis: number, rank: number, keys: KeyLength, ops: Ops): Value {
  const length = Math.max(rank, -axis)
  const at = length + axis
  const pieces: Value[] = []
  if (at > 0) pieces.push(ops.ints(Array.from({ length: at }, () => 1)))
  pieces.push(keys.value(ops))
  if (at < length - 1) pieces.push(ops.ints(Array.from({ length: length - 1 - at }, () => 1)))
  return ops.Expand(operand, pieces.length === 1 ? (pieces[0] as Value) : ops.Concat(pieces, 0))
}

/** A 1-D int64 constant that is 1 at a (negative) axis of `rank` and 0 elsewhere. */
export function oneHot(rank: number, axis: number, ops: Ops): Value {
  return ops.constant(Tensor.int64(Array.from({ length: rank }, (_, i) => (i === rank + axis ? 1 : 0))))
}
