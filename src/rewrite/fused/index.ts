/** Fused attention operators: what they compute, in standard operators, and how they take a sink where they stand. */

export { convertInPlace } from './convert.ts'
export { expandFused, isExpandable } from './expand.ts'
export type { Expansion, Unsupported } from './expansion.ts'
export { replaceNode } from './expansion.ts'
export type { InPlacePlan, InPlaceRefusal } from './in-place.ts'
export { planInPlace } from './in-place.ts'
export { SharedValues } from './workbench.ts'
