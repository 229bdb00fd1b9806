import type { Node, Value } from '../../ir/index.ts'
import { dtypes, Tensor } from '../../ir/index.ts'
import { dtypeOf } from '../../ops/index.ts'
import { Ops } from '../ops.ts'
import type { AxisAt, Workbench } from './workbench.ts'

export type SinkLogits = number | readonly number[]

export function isZeroSink(sink: SinkLogits): boolean {
  return typeof sink === 'number' ? sink === 0 : sink.every((s) => s === 0)
}

/** One sink for all heads, or a list in which not all are the same. */
export function simplest(sink: SinkLogits): SinkLogits {
  return typeof sink !== 'number' && sink.every((s) => s === sink[0]) ? (sink[0] ?? 0) : sink
}

/** One more element in front of an axis of a value of known rank. */
export function inFront(bench: Workbench, x: Value, rank: number, axis: number, fill = 0): Value {
  const { op } = bench
  return bench.once(`front ${x.name} ${axis} ${fill}`, () => {
    const pads = Array.from({ length: 2 * rank }, (_, i) => (i === rank + axis ? 1 : 0))
    return op.Pad(x, pads, fill, dtypeOf(x) ?? bench.dtype)
  })
}

/** A past of a single zero row: [B, H, 1, size]. */
export function zeroPast(bench: Workbench, sizes: { batch: AxisAt; heads: AxisAt | number; size: Value }): Value {
  const { op } = bench
  const heads = typeof sizes.heads === 'number' ? op.ints([sizes.heads]) : bench.length(sizes.heads)
  const batch = bench.length(sizes.batch)
  const key = `zero past ${batch.name} ${heads.name} ${sizes.size.name} ${bench.dtype}`
  return bench.once(key, () => {
    const shape = op.Concat([batch, heads, op.ints([1]), sizes.size], 0)
    return op.ConstantOfShape(shape, Tensor.of(bench.dtype, [1], [0]))
  })
}

/** A mask that hides nothing: zeros [1, 1, S, T] for queries and keys [.., length, size] and a past in front of the keys. */
export function zeroMask(
  bench: Workbench,
  { queries, keys, past }: { queries: Value; keys: Value; past?: Value | undefined },
): Value {
  const { op } = bench
  const own = bench.length({ value: keys, axis: -2 })
  const length = past
    ? bench.once(`joined ${past.name} ${keys.name}`, () => op.Add(bench.length({ value: past, axis: -2 }), own))
    : own
  const rows = bench.length({ value: queries, axis: -2 })
  return bench.once(`zero mask ${rows.name} ${length.name} ${bench.dtype}`, () =>
    op.ConstantOfShape(op.Concat([op.ints([1, 1]), rows, length], 0), Tensor.of(bench.dtype, [1], [0])),
  )
}

/** Size of an axis divided by a number, as an int64 vector of one element. */
export function dividedLength(bench: Workbench, at: AxisAt, divisor: number): Value {
  const size = bench.facts.size(at.value, at.axis)
  if (typeof size === 'number') return bench.op.ints([size / divisor])
  return bench.once(`length ${bench.sizeName(at)} / ${divisor}`, () =>
    bench.op.Div(bench.length(at), bench.op.ints([divisor])),
  )
}

/** An output that has one row or column more than before: what follows it is given back under its old name. */
export function dropFront(node: Node, output: number, axis: number, bench: Workbench): void {
  const original = node.output(output)
  if (!original) return
  const { place } = bench.op
  // Declared, because the runtime cannot infer the type of an optional output.
  const longer = place.graph.newValue(`${original.name}/with_sink`, {
    kind: 'tensor',
    dtype: bench.dtype,
    shape: undefined,
  })
  node.setOutput(output, longer)
  const behind = new Ops({ ...place, before: node.next, name: original.name })
  const cut = behind.Slice(longer, [1], [Number.MAX_SAFE_INTEGER], [axis])
  const slice = cut.producer as Node
  slice.setOutput(0, original)
  place.graph.removeValue(cut)
}

/**
 * A float mask that is added to scores, with the sink's logit in front: [.., S, T] to [.., S, T + 1], with a head axis when
 * the sink has one.
 */
export function withSinkColumn(bench: Workbench, mask: Value, rank: number, sink: SinkLogits): Value {
  if (typeof sink === 'number') return inFront(bench, mask, rank, -1, sink)
  const { op } = bench
  return bench.once(`heads ${mask.name} ${sink.join()}`, () => {
    const wide =
      rank === 4
        ? mask
        : op.Unsqueeze(
            mask,
            Array.from({ length: 4 - rank }, (_, i) => i),
          )
    const one = op.ints([1])
    const length = (axis: number): Value => op.Slice(op.Shape(wide), [axis], [axis + 1], [0])
    const logits = op.constant(Tensor.of(bench.dtype, [1, sink.length, 1, 1], sink))
    const column = op.Expand(logits, op.Concat([length(0), one, length(2), one], 0))
    const perHead = op.Expand(wide, op.ints([1, sink.length, 1, 1]))
    return op.Concat([column, perHead], 3)
  })
}

/** A boolean mask as logits: 0 where true, -inf where false. */
export function asLogits(bench: Workbench, mask: Value): Value {
  return bench.once(`logits ${mask.name} ${bench.dtype}`, () =>
    bench.op.Where(mask, bench.number(0), bench.number(Number.NEGATIVE_INFINITY)),
  )
}

export function isBoolean(value: Value): boolean {
  return dtypeOf(value) === dtypes.bool
}
