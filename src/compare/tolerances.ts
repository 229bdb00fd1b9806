import type { OutputSimilarity } from './compare-models.ts'
import type { Within } from './distances.js'
import type { Precision } from './precision.ts'

/**
 * What is allowed of an output. An element passes where its distance is at most `atol`, or at most `rtol` of the element;
 * the others are of the output as a whole: `minCosine` of the worst sample, `minTop1` of a distribution. Of integers only
 * `atol`, `rtol` and `minEqual`, the share that passes, count.
 */
export interface Tolerance {
  readonly atol?: number | undefined
  readonly rtol?: number | undefined
  readonly minCosine?: number | undefined
  readonly minSqnr?: number | undefined
  readonly minTop1?: number | undefined
  readonly minEqual?: number | undefined
}

export type ToleranceKind = keyof Tolerance

/** Tolerances by output; that of `''` is for all outputs that are not named. */
export type Tolerances = Readonly<Record<string, Tolerance>>

/** A tolerance an output does not meet. */
export interface Broken {
  readonly output: string
  readonly kind: ToleranceKind | 'finite' | 'nothing' | 'shape' | 'missing'
  /** What was asked for, and what is: a measure, or how many elements or samples are beyond it. */
  readonly limit: number
  readonly actual: number
}

/**
 * What is asked for where nothing is given: by the coarser precision of the two models, and by whether the attention of one
 * of them was given Softmax1, which with calibrated sinks changes a row of attention by 1 % at most.
 */
export function defaultTolerance(precision: Precision, converted: boolean): Tolerance {
  const usual = defaults[precision]
  return converted && (usual.minSqnr ?? 0) > softmax1.minSqnr ? { ...usual, ...softmax1 } : usual
}

const softmax1 = { minCosine: 0.995, minSqnr: 20, minEqual: 0.99 }

const defaults: Readonly<Record<Precision, Tolerance>> = {
  float32: { minCosine: 0.9999, minSqnr: 50, minEqual: 0.999 },
  float16: { minCosine: 0.999, minSqnr: 30, minEqual: 0.99 },
  int8: { minCosine: 0.95, minSqnr: 10, minEqual: 0.9 },
  int4: { minCosine: 0.9, minSqnr: 6, minEqual: 0.8 },
}

/**
 * What counts for an output: its own tolerance, that for all, or the default; the default too where that for all asks for
 * the best class of distributions alone, and the output is known to be none.
 */
export function toleranceFor(output: string, given: Tolerances, usual: Tolerance, isDistribution = true): Tolerance {
  const asked = given[output] ?? given[''] ?? usual
  if (isDistribution || asked === given[output] || asked.minTop1 === undefined) return asked
  const { minTop1: _, ...rest } = asked
  return Object.keys(rest).length === 0 ? usual : rest
}

/** A least share of best classes that no output has: it would be kept by nobody. */
export function idleTop1(outputs: readonly OutputSimilarity[], given: Tolerances): Broken[] {
  const limit = given['']?.minTop1
  if (limit === undefined || outputs.some(({ agreement }) => agreement)) return []
  return outputs.filter(({ name }) => !given[name]).map(({ name }) => noDistribution(name, limit))
}

function noDistribution(output: string, limit: number): Broken {
  return { output, kind: 'minTop1', limit, actual: Number.NaN }
}

/** How far elements may be apart; undefined where neither distance is limited. */
export function withinOf({ atol, rtol }: Tolerance): Within | undefined {
  return atol === undefined && rtol === undefined ? undefined : { atol: atol ?? 0, rtol: rtol ?? 0 }
}

/** What outputs of integers break. */
export function brokenByIntegers(output: OutputSimilarity, { minEqual = 1 }: Tolerance): Broken[] {
  const { name, unlikeShapes, outside, elements } = output
  if (unlikeShapes > 0) return [{ output: name, kind: 'shape', limit: 0, actual: unlikeShapes }]
  const equal = 1 - outside / Math.max(1, elements)
  return equal >= minEqual ? [] : [{ output: name, kind: 'minEqual', limit: minEqual, actual: equal }]
}

/** What an output of floats breaks. Whatever the tolerance: shapes are the same, and what is a number stays one. */
export function brokenBy(output: OutputSimilarity, tolerance: Tolerance): Broken[] {
  const { name, cosine, sqnrDb, agreement, elements, outside, notFinite, neither, unlikeShapes } = output
  const { atol, rtol, minCosine, minSqnr, minTop1 } = tolerance
  const kind = atol === undefined ? 'rtol' : 'atol'
  const found: (Broken | false)[] = [
    unlikeShapes > 0 && { output: name, kind: 'shape', limit: 0, actual: unlikeShapes },
    notFinite > 0 && { output: name, kind: 'finite', limit: 0, actual: notFinite },
    neither > 0 && elements === 0 && { output: name, kind: 'nothing', limit: 0, actual: neither },
    outside > 0 && { output: name, kind, limit: (atol ?? rtol) as number, actual: outside },
    below('minCosine', minCosine, cosine.worst),
    below('minSqnr', minSqnr, sqnrDb),
    agreement !== undefined && below('minTop1', minTop1, agreement.top1),
    agreement === undefined && minTop1 !== undefined && noDistribution(name, minTop1),
  ]
  return found.filter((broken) => broken !== false)

  function below(sort: ToleranceKind, limit: number | undefined, actual: number): Broken | false {
    return limit !== undefined && !(actual >= limit) && { output: name, kind: sort, limit, actual }
  }
}
