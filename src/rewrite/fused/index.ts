/** Fused attention operators: what they compute, in standard operators, and how they take a sink where they stand. */

export { convertInPlace } from './convert.ts'
export type { Expansion, Unsupported } from './expansion.ts'
export { replaceNode } from './expansion.ts'
export type { InPlacePlan, InPlaceRefusal } from './in-place.ts'
export { planInPlace, typeOfFused } from './in-place.ts'
export { expandMergedAttention } from './merged-attention.ts'
export { expandMultiHeadAttention } from './multi-head-attention.ts'
export { expandOnnxAttention } from './onnx-attention.ts'
export { SharedValues, Workbench } from './workbench.ts'
