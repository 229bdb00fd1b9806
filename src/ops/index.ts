/** Facts about operators: how axes move through them, what they multiply, and the shapes and small constants that follow. */
import type { Dim, Value } from '../ir/index.ts'
import { Facts } from './facts.ts'

export type { AxisAt } from './axes.ts'
export { keepsDims, reducedAxes } from './axes.ts'
export { constantTensor } from './constant-tensor.ts'
export type { LabelledProduct, Operand } from './contraction.ts'
export { axisOf, contractedLabels, hasPackedWeight, labelAt, labelledProduct } from './contraction.ts'
export { padsOf, sliceBounds } from './cut-shapes.ts'
export { dtypeOf } from './dtype-of.ts'
export { Facts } from './facts.ts'
export { functionOf } from './functions.ts'
export type { OpRecord } from './records.ts'
export { recordOf } from './records.ts'
export { reshapeGroups } from './reshape.ts'
export type { Size } from './size.ts'
export { divideSizes } from './size.ts'
export { softmax1 } from './softmax1.ts'

/** Rank of a value, inferred without declared types where need be. Many questions of one model: share a {@link Facts}. */
export function rankOf(value: Value, facts = new Facts()): number | undefined {
  return facts.rank(value)
}

/** Shape of a value: numbers, or symbols that are equal exactly where the sizes are; `undefined` without a rank. */
export function shapeOf(value: Value, facts = new Facts()): Dim[] | undefined {
  return facts.shape(value)?.slice()
}

/** The elements (flattened) of a small constant: initializers, Constant nodes and what is computed from them. */
export function constantOf(value: Value, facts = new Facts()): number[] | undefined {
  return facts.numbers(value)
}
