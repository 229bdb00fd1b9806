/** What passes are made of: declaring them, running them, building nodes, and the forms Softmax1 takes. */
export { dropUnread, isOwn, replaceConstant } from './constants.ts'
export { removeDead } from './dead.ts'
export type { Affine, AffineStep } from './folds/affine.ts'
export { affineStep, composeSteps, fits, isBounded } from './folds/affine.ts'
export { Convolution } from './folds/convolution.ts'
export { Columns } from './forms/column.ts'
export { lowerToPrimitives } from './forms/primitives.ts'
export { isStepwise } from './forms/stepwise.ts'
export { planZeroKey } from './forms/zero-key.ts'
export type { Expansion, InPlacePlan, InPlaceRefusal, Unsupported } from './fused/index.ts'
export {
  convertInPlace,
  expandFused,
  isExpandable,
  planInPlace,
  replaceNode,
  SharedValues,
} from './fused/index.ts'
export {
  blockForms,
  formBlock,
  headsInside,
  isHopfield,
  lowerHopfield,
  operatorOf,
  partsOfBlock,
} from './hopfield/index.ts'
export type { Place } from './ops.ts'
export { Ops } from './ops.ts'
export { importDomain, opsetOf } from './opset.ts'
export type { Option, OptionSet, OptionValues } from './options.ts'
export type { Effect, HeadScaleOf, Pass, PassContext, Precision, SinkOf, Stage, Switch } from './pass.ts'
export { approximate, changesMaths, definePass, equivalent, reportsOnly, stages } from './pass.ts'
export type { PassRun, PipelineResult, PipelineSettings } from './pipeline.ts'
export { runPipeline } from './pipeline.ts'
export { lowerToHalf } from './precision/lower.ts'
export type { Obstacle, Raise } from './raise/index.ts'
export { planRaise } from './raise/index.ts'
export type { SiteReport, Warning } from './report.ts'
export { Report } from './report.ts'
export type { Softmax1Sink } from './softmax1-node.ts'
export { insertSoftmax1, isSoftmax1, sinkOf } from './softmax1-node.ts'
