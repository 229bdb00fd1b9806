import { kurtosisOf } from '../elements.js'

/**
 * What tells outliers: a unit is a sequence (a whole sample), a token (a row along the last axis) or the tensor over all
 * samples.
 */
export type Granularity = 'sequence' | 'token' | 'tensor'

/** Sums over units, and the central moments of everything: `mean`, and sums of powers of the distance to it. */
export interface Moments {
  readonly units: number
  /** Sum of the kurtosis of each unit. */
  readonly kurtosis: number
  /** Sum of the largest magnitude of each unit. */
  readonly infinity: number
  readonly largest: number
  readonly count: number
  readonly mean: number
  readonly m2: number
  readonly m3: number
  readonly m4: number
}

/** What is reported of moments; Gaussian noise has a kurtosis of 3, a constant one of 0. */
export interface Outliers {
  readonly kurtosis: number
  /** The mean over units of the largest magnitude. */
  readonly infinityNorm: number
  readonly largest: number
}

/** Central moments add up by the formulas of Pébay (Sandia report SAND2008-6212). */
export function mergeMoments(a: Moments, b: Moments): Moments {
  const count = a.count + b.count
  const d = b.mean - a.mean
  const [p, q] = [a.count / count, b.count / count]
  const square = d * d
  const m2 = a.m2 + b.m2 + square * a.count * q
  const m3 = a.m3 + b.m3 + square * d * a.count * q * (p - q) + 3 * d * (p * b.m2 - q * a.m2)
  const m4 =
    a.m4 +
    b.m4 +
    square * square * a.count * q * (p * p - p * q + q * q) +
    6 * square * (p * p * b.m2 + q * q * a.m2) +
    4 * d * (p * b.m3 - q * a.m3)
  return {
    units: a.units + b.units,
    kurtosis: a.kurtosis + b.kurtosis,
    infinity: a.infinity + b.infinity,
    largest: Math.max(a.largest, b.largest),
    ...{ count, mean: a.mean + d * q, m2, m3, m4 },
  }
}

export function outliersOf(moments: Moments, granularity: Granularity): Outliers {
  const { units, kurtosis, infinity, largest } = moments
  if (granularity === 'tensor') return { kurtosis: kurtosisOf(moments), infinityNorm: largest, largest }
  return { kurtosis: kurtosis / units, infinityNorm: infinity / units, largest }
}
