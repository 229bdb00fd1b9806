import type { DType, Model } from '../ir/index.ts'
import type { ImportTrap } from './build-traps.ts'
import type { FusedSpec } from './fused.ts'
import type { FusionRule } from './fusion.ts'
import type { RuntimeTrap } from './ort-traps.ts'
import type { QdqFinding } from './tensorrt-qdq.ts'

/** What a model can be written for. */
export const targetNames = ['ort', 'tensorrt', 'onnx'] as const
export type TargetName = (typeof targetNames)[number]

/** How Softmax1 attention is spelled in a written model. */
export const forms = [
  'gqa',
  'attention-zero-key',
  'mha-zero-key',
  'zero-key',
  'plugin',
  'function',
  'primitives',
] as const
export type Form = (typeof forms)[number]

/** Execution providers a result can be written for; `any` means it must be right on all of them. */
export const providers = ['any', 'cpu', 'cuda', 'webgpu'] as const
export type Provider = (typeof providers)[number]

/** When a form may be used. Every field left out is no condition. */
export interface FormConditions {
  /** Oldest runtime version that runs the form right. */
  readonly since?: string
  /** Providers on which the form is right. Left out: all of them. */
  readonly providers?: readonly Exclude<Provider, 'any'>[]
  /** Oldest default-domain opset the form's operators exist in. */
  readonly opset?: number
  readonly dtypes?: readonly DType[]
  /** `zero`: only Softmax1 itself; `shared`: one sink for all heads; `any`: a sink per head. */
  readonly sink?: 'zero' | 'shared' | 'any'
  /** Whether scores may carry a mask or bias the form takes along. */
  readonly mask?: boolean
  readonly headSizeMultipleOf?: number
  /** Queries and keys must be of one length. */
  readonly selfAttention?: boolean
  /** Copies all keys and values: not where queries come one or a few at a time, unless it is asked for by name. */
  readonly copiesKeys?: boolean
  /** Only taken when asked for by name. */
  readonly onRequest?: boolean
}

/** One spelling a target accepts, with where the facts come from. */
export interface FormSpec {
  readonly form: Form
  readonly summary: string
  readonly conditions: FormConditions
  /** Where a zero key stands among the keys. Left out: behind them. */
  readonly edge?: 'start' | 'end'
  /** Where each condition was measured or read. */
  readonly source: string
}

/** `op`, as `Node.op` names it, where the integer `attribute` is `value`. */
export interface AttributeNeed {
  readonly op: string
  readonly attribute: string
  readonly value: number
  readonly since: string
}

/** A kind of runtime a model is written for. Data only. */
export interface Target {
  readonly name: TargetName
  readonly summary: string
  /** Version assumed when none is given; undefined for a target without versions. */
  readonly defaultVersion: string | undefined
  /** Domains of operators the runtime knows besides the default one. */
  readonly domains: readonly string[]
  /** Operators it knows beyond the standard, as `Node.op` names them, with the oldest version that does. */
  readonly operators: ReadonlyMap<string, string>
  /** Values of attributes with which it takes an operator only from a version on. */
  readonly attributes: readonly AttributeNeed[]
  /** Standard operators it does not import. */
  readonly lacks: ReadonlySet<string>
  /** Element types it runs nothing in. */
  readonly refusedTypes: readonly DType[]
  /** From which runtime version on a default-domain opset and all below the next row load, newest first. */
  readonly opsets: readonly (readonly [opset: number, version: string])[]
  /** The same for the IR version. */
  readonly irVersions: readonly (readonly [irVersion: number, version: string])[]
  /** The newest the newest known runtime loads; undefined for a target without limits. */
  readonly newest: { readonly opset: number; readonly irVersion: number } | undefined
  /**
   * How quantized models are written: `kernels`, for a runtime that finds kernels of integers for u8 data with zero points;
   * `explicit`, for a compiler that computes what symmetric Q/DQ say, in the types they say.
   */
  readonly quantized: 'kernels' | 'explicit'
  /** Best first. */
  readonly forms: readonly FormSpec[]
  /** Fused operators that are converted where they stand. All others are expanded, or left when they cannot be. */
  readonly fused: readonly FusedSpec[]
  /** What its releases do badly. */
  readonly runtimeTraps?: readonly RuntimeTrap[]
  /** Where an engine is built of the model first: what that refuses, what it fuses, and how it is asked for. */
  readonly build?: BuildFacts
}

/** What is known of a builder of engines. */
export interface BuildFacts {
  readonly traps: readonly ImportTrap[]
  /** What it asks of explicit Q/DQ beyond what traps say. */
  readonly checkQdq: (model: Model) => readonly QdqFinding[]
  /** Operators of other domains that it was seen to take, as `Node.op` names them, though no document promises them. */
  readonly contributed: readonly string[]
  readonly fusion: readonly FusionRule[]
  /** Attention operators that have to be fused: without a kernel the build fails. */
  readonly undivided: readonly string[]
  /** The program that builds, with flags whatever the model. */
  readonly command: readonly string[]
  /** Names of fused kernels in the layer information. */
  readonly kernels: readonly string[]
}

/** A target, and the version and provider the result must run on. */
export interface TargetChoice {
  readonly target: Target
  readonly version: string | undefined
  readonly provider: Provider
}
