/** Finding attention: every normaliser and every fused attention operator of a model gets a verdict and a reason. */

export type { Block, BlockMask, BlockOperand, BlockReason, NoBlock } from './block.ts'
export { blockOf } from './block.ts'
export { findSites } from './find-sites.ts'
export type { Contraction, Heads, Policies, Reason, Sink, Site, Step, Verdict, VerdictKind } from './site.ts'
