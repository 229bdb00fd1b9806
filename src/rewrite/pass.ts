import type { Site } from '../attention/index.ts'
import type { Model, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import type { Quantization } from '../quantize/index.ts'
import type { Form, TargetChoice } from '../targets/index.ts'
import type { OptionSet, OptionValues } from './options.ts'
import type { Report } from './report.ts'

/** The stages of the pipeline, in order. */
export const stages = ['recognize', 'hopfield', 'adapt', 'quantize', 'lower'] as const
export type Stage = (typeof stages)[number]

/** What a pass does to the function a model computes; the fixture runner checks it with numbers. */
export type Effect =
  | { readonly kind: 'equivalent' }
  | { readonly kind: 'approximate'; readonly tolerance: number }
  | { readonly kind: 'changes-maths' }
  | { readonly kind: 'reports-only' }

export const equivalent: Effect = { kind: 'equivalent' }
/** The outputs move by no more than `tolerance`, relative where they are above 1. */
export const approximate = (tolerance: number): Effect => ({ kind: 'approximate', tolerance })
export const changesMaths: Effect = { kind: 'changes-maths' }
/** The pass changes nothing and only writes to the report. */
export const reportsOnly: Effect = { kind: 'reports-only' }

/** What a run asks for beyond the conversion; a pass with a switch runs only where it is on. */
export type Switch = 'optimize'

/** Types of half precision a model can be lowered to. */
export const precisions = ['float16', 'bfloat16'] as const
export type Precision = (typeof precisions)[number]

/**
 * The logit added to the denominator of a site: one number, or one per head. 0 is Softmax1. `found` is the value the site
 * was found by, which is another one where a rewrite moved its normaliser.
 */
export type SinkOf = (site: Site, found: Value) => number | readonly number[]

/** What each head of a site is to be multiplied by, one number for all heads where they are not told apart; undefined where it is not known. */
export type HeadScaleOf = (site: Site, found: Value) => readonly number[] | undefined

/** What a pass is given besides the model. */
export interface PassContext<O extends OptionSet = OptionSet> {
  readonly options: OptionValues<O>
  readonly target: TargetChoice
  /** Every normaliser and its verdict, as the model was before the pass. */
  readonly sites: readonly Site[]
  /** Shapes and constants, of the model as it was before the pass. */
  readonly facts: Facts
  readonly sink: (site: Site) => number | readonly number[]
  /** Undefined: no head is multiplied. */
  readonly headScale: ((site: Site) => readonly number[] | undefined) | undefined
  /** Take this form wherever its conditions hold, before the target's own order. */
  readonly form: Form | undefined
  /** The oldest default-domain opset the result may have; undefined leaves it. */
  readonly opset: number | undefined
  /** Undefined: everything computes in the precision the model has. */
  readonly precision: Precision | undefined
  /** Undefined: nothing is quantized. */
  readonly quantization: Quantization | undefined
  readonly report: Report
}

/** One thing done to a graph. Its name is its file name, its CLI name and its fixture folder. */
export interface Pass<O extends OptionSet = OptionSet> {
  readonly name: string
  readonly stage: Stage
  readonly summary: string
  readonly effect: Effect
  readonly when?: Switch
  readonly options: O
  /** Edits the model in place and returns how many places it changed. */
  run(model: Model, context: PassContext<O>): number
}

/** Declares a pass; exists for the types. */
export function definePass<const O extends OptionSet = Record<never, never>>(
  pass: Omit<Pass<O>, 'options'> & { readonly options?: O },
): Pass<O> {
  return { ...pass, options: pass.options ?? ({} as O) }
}
