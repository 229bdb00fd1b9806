import type { Value } from '../../ir/index.ts'
import { dtypes } from '../../ir/index.ts'
import type { AxisAt, Workbench } from './workbench.ts'

/** The queries and keys of an attention step, and how far along the keys the first query stands. */
export interface Frame {
  readonly queries: AxisAt
  /** All keys, a cache included. */
  readonly keys: AxisAt
  /** Number of cached keys in front of the first query's own: an axis, or one number a batch row as [B] int64. */
  readonly offset?: AxisAt | Value | undefined
}

/** Where a key lies behind its query's own position plus `right`: [S, T], or [B, 1, S, T] with an offset a row. Boolean. */
export function future(bench: Workbench, frame: Frame, right = 0): Value {
  return bench.once(`future ${frameName(bench, frame)} ${right}`, () => {
    const { op } = bench
    return op.Greater(bench.positions(frame.keys), shifted(bench, queryPositions(bench, frame), right))
  })
}

/** Where a key lies more than `left` positions before its query's own. Shapes as {@link future}. */
export function beforeWindow(bench: Workbench, frame: Frame, left: number): Value {
  return bench.once(`before ${frameName(bench, frame)} ${left}`, () => {
    const { op } = bench
    return op.Less(bench.positions(frame.keys), shifted(bench, queryPositions(bench, frame), -left))
  })
}

/** Where a key lies at or behind the length of its batch row: lengths int64 [B] to boolean [B, 1, 1, T]. */
export function beyondLength(bench: Workbench, keys: AxisAt, lengths: Value): Value {
  return bench.once(`beyond ${lengths.name} ${bench.sizeName(keys)}`, () => {
    const { op } = bench
    return op.Not(op.Less(bench.positions(keys), op.Unsqueeze(lengths, [1, 2, 3])))
  })
}

/** `fill` where `hidden` is true, else 0 (or `otherwise`), in the element type. */
export function fillWhere(bench: Workbench, hidden: Value, fill: number, otherwise?: Value): Value {
  return bench.once(`fill ${hidden.name} ${fill} ${bench.dtype} ${otherwise?.name ?? 0}`, () =>
    bench.op.Where(hidden, bench.number(fill), otherwise ?? bench.number(0)),
  )
}

/** 0 where a boolean or integer mask is true or positive, else `fill`, in the element type. */
export function fillWhereNot(bench: Workbench, shown: Value, fill: number): Value {
  return bench.once(`fill not ${shown.name} ${fill} ${bench.dtype}`, () =>
    bench.op.Where(shown, bench.number(0), bench.number(fill)),
  )
}

/** The sum of the biases that are there. */
export function sumOf(bench: Workbench, ...biases: readonly (Value | undefined)[]): Value | undefined {
  const [first, ...rest] = biases.filter((b) => b !== undefined)
  return rest.reduce<Value | undefined>(
    (sum, bias) => sum && bench.once(`sum ${sum.name} ${bias.name}`, () => bench.op.Add(sum, bias)),
    first,
  )
}

/** Position of each query among the keys: [S, 1], or [B, 1, S, 1] with an offset a row. */
function queryPositions(bench: Workbench, { queries, offset }: Frame): Value {
  const { op } = bench
  const own = bench.positions(queries)
  if (offset === undefined) return op.Unsqueeze(own, [1])
  if ('axis' in offset) return op.Unsqueeze(op.Add(own, bench.length(offset)), [1])
  return op.Add(op.Unsqueeze(own, [1]), op.Unsqueeze(offset, [1, 2, 3]))
}

function shifted(bench: Workbench, positions: Value, by: number): Value {
  return by === 0 ? positions : bench.op.Add(positions, bench.op.ints([by]))
}

function frameName(bench: Workbench, { queries, keys, offset }: Frame): string {
  const from = offset === undefined ? '' : 'axis' in offset ? bench.sizeName(offset) : offset.name
  return `${bench.sizeName(queries)} ${bench.sizeName(keys)} ${from}`
}

/** Integers of any type as int64. */
export function asInt64(bench: Workbench, value: Value): Value {
  return bench.once(`int64 ${value.name}`, () => bench.op.Cast(value, dtypes.int64))
}
