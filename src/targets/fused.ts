import type { DType } from '../ir/index.ts'
import { dtypeName } from '../ir/index.ts'
import type { Form, Provider, TargetChoice } from './target.ts'
import { compareVersions } from './version.ts'

/** What a fused attention operator may have beside queries, keys and values. */
export type FusedPart =
  /** A mask of keys, or one added to the scores, alike for all heads. */
  | 'mask'
  /** A mask with a head axis. */
  | 'mask-per-head'
  /** A tensor added to the scores (`attention_bias`). */
  | 'bias'
  /** Keys of the future are hidden by an attribute. */
  | 'causal'
  /** Keys and values of earlier steps come in, joined ones go out. */
  | 'cache'
  /** Joined keys and values go out though none come in. */
  | 'present-alone'
  /** Scores or probabilities go out. */
  | 'scores'
  /** A soft cap on scores that are masked after it. */
  | 'softcap-and-mask'
  /** Lengths of a cache kept outside of the operator. */
  | 'lengths'
  | 'causal-lengths'
  /** Windows on both sides of a query. */
  | 'window'
  /** A sink other than 0. */
  | 'sink'
  /** A sink for each head. */
  | 'sink-per-head'

export interface PartConditions {
  /** Oldest runtime version that is right with it. */
  readonly since?: string
  /** Providers that are right with it. Left out: all of them. */
  readonly providers?: readonly Exclude<Provider, 'any'>[]
}

/** How a fused attention operator of the input model becomes Softmax1 where it stands. */
export interface FusedSpec {
  readonly op: string
  readonly form: Form
  readonly conditions: PartConditions & { readonly dtypes?: readonly DType[] }
  /** A part that is missing here is never right. */
  readonly parts: Readonly<Partial<Record<FusedPart, PartConditions>>>
  /** Where each condition was measured or read. */
  readonly source: string
}

/** Why an operator with these parts cannot be converted where it stands; `undefined` when it can. */
export function fusedObjection(
  spec: FusedSpec,
  choice: TargetChoice,
  parts: readonly FusedPart[],
  dtype: DType | undefined,
): string | undefined {
  const { dtypes } = spec.conditions
  if (dtypes && (dtype === undefined || !dtypes.includes(dtype)))
    return `does not take ${dtype === undefined ? 'an unknown type' : (dtypeName(dtype) ?? dtype)}`
  for (const part of [undefined, ...parts]) {
    const conditions = part === undefined ? spec.conditions : spec.parts[part]
    const what = part === undefined ? '' : ` with ${words[part]}`
    if (conditions === undefined) return `cannot be right${what}`
    const { since, providers } = conditions
    if (since !== undefined && choice.version !== undefined && compareVersions(choice.version, since) < 0)
      return `needs ${choice.target.name} ${since} or later${what}, the result must run on ${choice.version}`
    if (providers !== undefined && choice.provider === 'any')
      return `is right on ${providers.join(' and ')} only${what}, the result must be right on any provider`
    if (providers !== undefined && !providers.includes(choice.provider as Exclude<Provider, 'any'>))
      return `is not right on ${choice.provider}${what}`
  }
  return undefined
}

/** The oldest runtime version that runs an operator with these parts right; `undefined` when any does. */
export function fusedSince(spec: FusedSpec, parts: readonly FusedPart[]): string | undefined {
  return [spec.conditions, ...parts.map((part) => spec.parts[part])]
    .flatMap((conditions) => conditions?.since ?? [])
    .sort(compareVersions)
    .at(-1)
}

/** Whether an operator with these parts is right on some providers only. */
export function fusedNeedsProvider(spec: FusedSpec, parts: readonly FusedPart[]): boolean {
  return [spec.conditions, ...parts.map((part) => spec.parts[part])].some((conditions) => conditions?.providers)
}

const words: Readonly<Record<FusedPart, string>> = {
  mask: 'a mask',
  'mask-per-head': 'a mask that differs between heads',
  bias: 'an attention bias',
  causal: 'its causal attribute',
  cache: 'a key cache',
  'present-alone': 'present outputs and no past',
  scores: 'its scores or probabilities as an output',
  'softcap-and-mask': 'a soft cap under a mask',
  lengths: 'lengths of an outer cache',
  'causal-lengths': 'lengths of an outer cache and its causal attribute',
  window: 'a window',
  sink: 'a sink other than 0',
  'sink-per-head': 'a sink per head',
}
