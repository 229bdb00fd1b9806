import type { Node, Value } from '../../ir/index.ts'
import { dtypes, Tensor } from '../../ir/index.ts'
import type { Facts } from '../../ops/index.ts'
import type { Frame } from './bias.ts'
import { asInt64, beyondLength, fillWhere, fillWhereNot, future } from './bias.ts'
import type { Unsupported } from './expansion.ts'
import { unsupported } from './expansion.ts'
import type { AxisAt, Workbench } from './workbench.ts'
import { lowest } from './workbench.ts'

/** The mask of com.microsoft::Attention and MultiHeadAttention, and what its form depends on. */
export interface PaddingMask {
  /** int32: key lengths [B] (or ends and starts [2B], or lengths and offsets [3B + 2]), keys [B, T], or [B, S, T]. */
  readonly mask: Value | undefined
  readonly batch: AxisAt
  readonly frame: Frame
  /** Whether a mask [2B] holds ends and then starts. */
  readonly starts: boolean
}

/** Why a mask cannot be read. */
export function maskProblem(mask: Value | undefined, facts: Facts): Unsupported | undefined {
  const rank = mask && facts.rank(mask)
  if (!mask || rank === 1 || rank === 2 || rank === 3) return undefined
  if (rank === 4) return unsupported('has a mask of rank 4, which only the CUDA provider of ONNX Runtime reads')
  return unsupported(`has a mask of ${rank === undefined ? 'unknown rank' : `rank ${rank}`}`)
}

/**
 * The bias that hides padded keys (`mask_filter_value`, -10000 when absent) and, for `unidirectional`, keys of the future
 * (the lowest finite number); broadcasts against [B, H, S, T]. `undefined` when nothing is hidden.
 */
export function paddingBias(node: Node, bench: Workbench, mask: PaddingMask): Value | undefined {
  const fill = bench.facts.float(node, 'mask_filter_value') ?? -10000
  const padded = mask.mask && biasOf(mask.mask, mask, bench, fill)
  if ((bench.facts.int(node, 'unidirectional') ?? 0) === 0) return padded
  return fillWhere(bench, future(bench, mask.frame), lowest(bench.dtype), padded)
}

function biasOf(mask: Value, form: PaddingMask, bench: Workbench, fill: number): Value | undefined {
  const { facts } = bench
  const rank = facts.rank(mask)
  if (rank === 1) return fillWhere(bench, beyondLengths(mask, form, bench), fill)
  // [B, 1] and [1, 1] are what broadcasting leaves of no mask, unless there is only one key.
  const oneColumn = rank === 2 && facts.size(mask, -1) === 1
  if (oneColumn && facts.size(form.frame.keys.value, form.frame.keys.axis) !== 1) return undefined
  return fillWhereNot(bench, shown(mask, rank === 2 ? [1, 2] : [1], bench), fill)
}

function shown(mask: Value, axes: readonly number[], bench: Workbench): Value {
  const { op } = bench
  return bench.once(`shown ${mask.name}`, () => op.Unsqueeze(op.Greater(mask, op.scalar(0, dtypes.int32)), axes))
}

/** Keys at or behind the length of their row; with starts also those before. Boolean [B, 1, 1, T]. */
function beyondLengths(mask: Value, { batch, frame, starts }: PaddingMask, bench: Workbench): Value {
  const { op, facts } = bench
  const lengths = asInt64(bench, mask)
  const rows = facts.size(batch.value, batch.axis)
  if (facts.size(mask, -1) === rows) return beyondLength(bench, frame.keys, lengths)
  const count = bench.length(batch)
  const ends = bench.once(`ends ${mask.name}`, () => op.SliceVector(lengths, op.ints([0]), count))
  const beyond = beyondLength(bench, frame.keys, ends)
  if (!starts) return beyond
  // A mask of lengths alone gets starts of 0, so that both forms are read alike.
  const begins = bench.once(`begins ${mask.name}`, () => {
    const padded = op.Concat([lengths, op.ConstantOfShape(count, Tensor.int64([0]))], 0)
    return op.SliceVector(padded, count, op.Mul(count, op.ints([2])))
  })
  return bench.once(`outside ${mask.name} ${bench.sizeName(frame.keys)}`, () =>
    op.Or(beyond, op.Less(bench.positions(frame.keys), op.Unsqueeze(begins, [1, 2, 3]))),
  )
}
