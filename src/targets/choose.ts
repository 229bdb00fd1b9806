import type { DType } from '../ir/index.ts'
import { dtypeName } from '../ir/index.ts'
import type { Form, FormSpec, TargetChoice } from './target.ts'
import { compareVersions } from './version.ts'

/** What decides which form a site can have. */
export interface FormFacts {
  readonly dtype: DType | undefined
  readonly opset: number
  readonly sink: number | readonly number[]
  readonly mask: boolean
  /** Unknown outside of a fused form. */
  readonly headSize?: number | undefined
  readonly selfAttention?: boolean
  /** Queries come one or a few at a time, against many keys. */
  readonly stepwise?: boolean
}

/** Why a form cannot be used for a site on a target; undefined when its conditions hold. */
export function objection(spec: FormSpec, choice: TargetChoice, facts: FormFacts): string | undefined {
  const { since, providers, opset, dtypes, sink, mask, headSizeMultipleOf, selfAttention, copiesKeys } = spec.conditions
  const { version, provider } = choice
  if (since !== undefined && version !== undefined && compareVersions(version, since) < 0)
    return `needs ${choice.target.name} ${since} or later, the result must run on ${version}`
  if (providers !== undefined && (provider === 'any' || !providers.includes(provider)))
    return provider === 'any'
      ? `is right on ${providers.join(' and ')} only, the result must be right on any provider`
      : `is not right on ${provider}`
  if (opset !== undefined && facts.opset < opset) return `needs opset ${opset}, the model has ${facts.opset}`
  if (dtypes !== undefined && (facts.dtype === undefined || !dtypes.includes(facts.dtype)))
    return `does not take ${facts.dtype === undefined ? 'an unknown type' : (dtypeName(facts.dtype) ?? facts.dtype)}`
  if (sink === 'zero' && !isZero(facts.sink)) return 'cannot express a sink other than 0'
  if (sink === 'shared' && typeof facts.sink !== 'number') return 'cannot express a sink per head'
  if (mask === false && facts.mask) return 'takes no mask or bias'
  if (headSizeMultipleOf !== undefined && (facts.headSize ?? 0) % headSizeMultipleOf !== 0)
    return `needs a head size that is a multiple of ${headSizeMultipleOf}, it is ${facts.headSize}`
  if (headSizeMultipleOf !== undefined && facts.headSize === undefined) return 'needs a known head size'
  if (selfAttention && facts.selfAttention !== true) return 'needs queries and keys of one length'
  if (copiesKeys && facts.stepwise) return 'copies all keys and values for every step of a few queries'
  return undefined
}

/** The forms of a target in the order they are tried: the requested one first, those taken only on request left out. */
export function candidates(choice: TargetChoice, requested?: Form): readonly FormSpec[] {
  const own = choice.target.forms
  const first = own.filter((spec) => spec.form === requested)
  return [...first, ...own.filter((spec) => spec.form !== requested && spec.conditions.onRequest !== true)]
}

function isZero(sink: number | readonly number[]): boolean {
  return typeof sink === 'number' ? sink === 0 : sink.every((s) => s === 0)
}
