/** What the outputs of a result have to keep, whatever was recorded; for all outputs, or by name with `*` for the others. */
export interface Thresholds {
  /** The least cosine of a sample. */
  readonly minCosine?: Limit | undefined
  /** The least `10 log10(Σ a² / Σ (a - b)²)`. */
  readonly minSqnrDb?: Limit | undefined
  /** The largest distance of two elements. */
  readonly maxAbs?: Limit | undefined
}

export type Limit = number | { readonly [output: string]: number }

/** How far numbers may be from the recorded ones and still be the same. */
export interface Slack {
  /** Of what the model itself computes, as a share of the root of the mean square. */
  readonly outputs: number
  /** Of mean errors, as a share of them. */
  readonly errors: number
  /** Of the largest errors and the least cosines, as a share of them. */
  readonly extremes: number
  /** Of the size of the result, as a share of it. */
  readonly bytes: number
}

/**
 * Two runs on one machine give the same bits, and these are far above what another processor or version of the runtime
 * rounds differently: about 1e-6 of float outputs, and a few of the 255 steps of INT8.
 */
export const defaultSlack: Slack = { outputs: 0.001, errors: 0.1, extremes: 0.25, bytes: 0.01 }

/** The limit that holds for an output. */
export function limitOf(limit: Limit | undefined, output: string): number | undefined {
  if (typeof limit !== 'object') return limit
  return Object.hasOwn(limit, output) ? limit[output] : limit['*']
}
