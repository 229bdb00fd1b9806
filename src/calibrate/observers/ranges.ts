import type { Range } from '../../quantize/statistics.ts'

/** The extremes of a value in every sample, in the order of the samples: what min-max and moving averages are made of. */
export interface Ranges {
  /** Indexes of samples, rising. */
  readonly samples: readonly number[]
  readonly min: readonly number[]
  readonly max: readonly number[]
}

export const noRanges: Ranges = { samples: [], min: [], max: [] }

export function rangeOfSample(sample: number, { min, max }: Range): Ranges {
  return { samples: [sample], min: [min], max: [max] }
}

/** Both together; no sample may be in both. */
export function mergeRanges(a: Ranges, b: Ranges): Ranges {
  const joined = {
    samples: a.samples.concat(b.samples),
    min: a.min.concat(b.min),
    max: a.max.concat(b.max),
  }
  if ((a.samples.at(-1) ?? Number.NEGATIVE_INFINITY) < (b.samples[0] ?? Number.POSITIVE_INFINITY)) return joined
  const order = joined.samples.map((_, i) => i).sort((i, j) => at(joined.samples, i) - at(joined.samples, j))
  return {
    samples: order.map((i) => at(joined.samples, i)),
    min: order.map((i) => at(joined.min, i)),
    max: order.map((i) => at(joined.max, i)),
  }
}

/** The least and the greatest of all samples. */
export function minMax({ min, max }: Ranges): Range {
  return {
    min: min.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY),
    max: max.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY),
  }
}

/** `r = keep r + (1 - keep) sample`, from the first sample on: the running estimate of the published protocol. */
export function movingAverage({ min, max }: Ranges, keep = 0.9): Range {
  const average = (values: readonly number[]) => values.reduce((old, now) => keep * old + (1 - keep) * now)
  return { min: average(min), max: average(max) }
}

function at(values: readonly number[], index: number): number {
  return values[index] as number
}
