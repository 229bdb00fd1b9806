import type { Policies, Site } from './attention/index.ts'
import type { DataOptions } from './data/source.ts'
import { usage } from './errors.ts'
import { matcher } from './names.ts'
import type { ExternalData } from './onnx/index.ts'
import type { QuantizationOptions } from './quantization-options.ts'
import type { PipelineSettings, Precision, SinkOf, Stage } from './rewrite/index.ts'
import { precisions } from './rewrite/pass.ts'
import { newestRaised } from './rewrite/raise/limits.ts'
import type { Form, Provider, TargetChoice, TargetName } from './targets/index.ts'
import { compareVersions, forms, providers, targets } from './targets/index.ts'

/**
 * Debatable kinds of attention that are left alone unless they are named: a bare weight as query, scores that compare channels,
 * keys and values that are both constants.
 */
export const policyNames = ['pooling', 'channel', 'static-memories'] as const
export type PolicyName = (typeof policyNames)[number]

/** Names of sites: exact, or with `*`, `?` and `{a,b}`. A site is known by its node name. */
export type NamePattern = string | readonly string[]

/** Which softmaxes count as attention. */
export interface SiteOptions {
  /** Convert only these. */
  readonly only?: NamePattern | undefined
  /** Leave these alone. */
  readonly except?: NamePattern | undefined
  /** Convert these whatever they are for: the way to decide most sites whose verdict is `review`. */
  readonly force?: NamePattern | undefined
  readonly include?: readonly PolicyName[] | undefined
}

/** Where the result will run. */
export interface TargetOptions {
  /** `ort` (default) or `onnx`. */
  readonly target?: TargetName | undefined
  /** The oldest version that must run the result, such as `1.20`. */
  readonly targetVersion?: string | undefined
  /** Default `any`: only what is right on every execution provider. */
  readonly provider?: Provider | undefined
}

/** What is known about the activations of the model, and how near to its outputs the result has to stay. */
export interface CalibrationOptions {
  /** A calibration table made with this model. */
  readonly calibration?: string | undefined
  /** Data to calibrate on, as `calibrate` reads it. */
  readonly data?: string | undefined
  readonly dataOptions?: DataOptions | undefined
  /** Most that a row of attention may change under a calibrated sink, as a share of it. Default 0.01. */
  readonly maxChange?: number | undefined
  /** Share of the rows that may change more. Default 0.001. */
  readonly sinkQuantile?: number | undefined
  /** Convert also where calibration says that a head loses more than 3 % of its output in the mean. */
  readonly acceptDrift?: boolean | undefined
}

export interface ConvertOptions extends SiteOptions, TargetOptions, CalibrationOptions {
  /** File to write. Default: `NAME.outeffhop.onnx` beside a model given by path; nothing for one given in memory. */
  readonly output?: string | undefined
  /**
   * The logit added to every denominator: one for all heads, by site and head, `zero` (Softmax1 as published), or
   * `calibrated`, so that a model trained with softmax keeps its outputs. Default `calibrated` where there is a table or
   * data, else `zero`.
   */
  readonly sink?: 'calibrated' | 'zero' | number | ((site: Site) => number | readonly number[]) | undefined
  /**
   * Multiply every head by 1/E[g], what a fixed sink takes from it in the mean by the rows that were seen, in the weights of
   * the projection behind or in front of it. Needs `data` or `calibration`. Default false.
   */
  readonly foldScale?: boolean | undefined
  /** Fold scalar arithmetic around convolutions into them, and the like: the same function, computed in fewer steps. */
  readonly optimize?: boolean | undefined
  /**
   * Quantize the converted model too, by a recipe (`auto` for the most accurate one on the data) or with all settings; the
   * result is compared with the model as it was before the conversion. Variants of `int8` need `data`, of which samples are
   * kept back for the comparison.
   */
  readonly quantize?: string | QuantizationOptions | undefined
  /** Raise the model to this opset, 13 to 21, where it is older and every operator can be raised. */
  readonly opset?: number | undefined
  /** Compute in half precision where that is enough; inputs and outputs keep their types. */
  readonly precision?: Precision | undefined
  /** Use this form wherever its conditions hold. */
  readonly form?: Form | undefined
  /** Where weights go. Default `auto`: as they are, moved to a file of their own where the model would pass 2 GiB. */
  readonly externalData?: ExternalData | undefined
  readonly overwrite?: boolean | undefined
  /** Put the sha256 of all files in the report. */
  readonly hash?: boolean | undefined
  /** Find and rewrite, but write nothing. */
  readonly dryRun?: boolean | undefined
  /** Load what is written in ONNX Runtime, where it is installed, and run it once. Default true. */
  readonly verify?: boolean | undefined
  /** A model in which nothing can be converted is no failure. */
  readonly allowNone?: boolean | undefined
  /** Attention that is left unconverted is a failure, as is a site to review. */
  readonly requireAll?: boolean | undefined
  /** Run the pipeline up to and including this stage, and write the model as text. */
  readonly stopAfter?: Stage | undefined
  /** A folder for the model as text, before the first pass and after every pass that changed it. */
  readonly dump?: string | undefined
  /** Put into the report what a page is drawn of: histograms, channels, operators, the environment. */
  readonly observations?: boolean | undefined
  /** Stops the work; nothing is left half written. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((phase: Phase, done: number, total: number) => void) | undefined
}

export type Phase = 'calibrate' | 'convert' | 'write' | 'verify' | 'compare' | 'observe' | 'measure'

/** The target an option set names. Throws `usage` for a name, version or provider that does not exist. */
export function targetOf(options: TargetOptions & { readonly form?: Form | undefined }): TargetChoice {
  const { target: name = 'ort', targetVersion, provider = 'any', form } = options
  const target = targets.get(name)
  if (target === undefined) throw unknown('target', name, [...targets.keys()])
  if (!providers.includes(provider)) throw unknown('provider', provider, providers)
  if (form !== undefined && !forms.includes(form)) throw unknown('form', form, forms)
  if (targetVersion === undefined) return { target, version: target.defaultVersion, provider }
  if (target.defaultVersion === undefined) throw usage(`the target "${name}" has no versions`)
  if (!/^\d+\.\d+(\.\d+)?$/.test(targetVersion)) {
    throw usage(`"${targetVersion}" is not a version of the target "${name}"`, 'Write it as 1.20 or 1.20.1.')
  }
  const oldest = '1.19'
  if (compareVersions(targetVersion, oldest) < 0) throw usage(`versions before ${oldest} are not supported`)
  return { target, version: targetVersion, provider }
}

/** The parts of the pipeline that run only when they are asked for. */
export function switchesOf({
  optimize,
  opset,
  precision,
}: ConvertOptions): Pick<PipelineSettings, 'switches' | 'opset' | 'precision'> {
  const known = opset === undefined || (Number.isInteger(opset) && opset >= 13 && opset <= newestRaised)
  if (!known) throw usage(`"${opset}" is not an opset from 13 to ${newestRaised}`)
  if (precision !== undefined && !precisions.includes(precision)) throw unknown('precision', precision, precisions)
  return { switches: optimize ? ['optimize'] : [], opset, precision }
}

/** The policies an option set names, with a record of which patterns met a site. */
export function policiesOf(options: SiteOptions): Policies {
  const include = new Set(options.include ?? [])
  for (const name of include) if (!policyNames.includes(name)) throw unknown('policy', name, policyNames)
  const only = patterns(options.only)
  const except = patterns(options.except)
  const force = patterns(options.force)
  const met = (list: readonly ((name: string) => boolean)[], name: string) => list.some((matches) => matches(name))
  return {
    pooling: include.has('pooling'),
    channelAttention: include.has('channel'),
    staticMemories: include.has('static-memories'),
    only: (name) => (only.length === 0 || met(only, name)) && !met(except, name),
    force: (name) => met(force, name),
  }
}

/** Patterns that match none of the sites: most likely misspelt. */
export function unmatched(options: SiteOptions, sites: readonly { readonly node: string }[]): string[] {
  const all = [options.only, options.except, options.force].flatMap((pattern) => listOf(pattern))
  return all.filter((pattern) => !sites.some(({ node }) => matcher(pattern)(node)))
}

/** Whether a pattern is there and fits a name. */
export function isNamed(pattern: NamePattern | undefined, name: string): boolean {
  return listOf(pattern).some((one) => matcher(one)(name))
}

export function sinkOf(sink: number | SinkOf): number | SinkOf {
  if (typeof sink === 'function') return (site, found) => checkedSink(sink(site, found))
  return checkedSink(sink)
}

/** Beyond this, half precision cannot hold a sink; far below it, Softmax1 is softmax already. */
const largestSink = 10_000

function checkedSink<S extends number | readonly number[]>(sink: S): S {
  const values: readonly number[] = typeof sink === 'number' ? [sink] : sink
  if (!Array.isArray(values)) throw usage('the function "sink" gives a number, or a list with one for each head')
  const wrong = values.find((value) => !(Math.abs(value) <= largestSink))
  if (wrong === undefined) return sink
  if (Number.isNaN(wrong)) throw usage('the sink is not a number')
  throw usage(
    `a sink of ${wrong} is not a number from -${largestSink} to ${largestSink}`,
    wrong === Number.NEGATIVE_INFINITY ? 'A sink of -inf is plain softmax: leave the model as it is.' : undefined,
  )
}

function patterns(pattern: NamePattern | undefined): ((name: string) => boolean)[] {
  return listOf(pattern).map(matcher)
}

function listOf(pattern: NamePattern | undefined): readonly string[] {
  return pattern === undefined ? [] : typeof pattern === 'string' ? [pattern] : pattern
}

function unknown(what: string, name: string, known: readonly string[]) {
  return usage(`there is no ${what} "${name}"`, `There are: ${known.join(', ')}.`)
}
