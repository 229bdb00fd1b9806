import type { Range } from '../../quantize/statistics.ts'

/** The extremes of a value in every sample, in the order of the samples: what min-max and moving averages are made of. */
export interface Ranges {
  /** Indexes of samples, rising. */
  readonly samples: readonly number[]
  readonly min: readonly number[]
  readonly max: readonly number[]
}

/** Ranges that are added to. */
export interface RangesSum extends Ranges {
  readonly samples: number[]
  readonly min: number[]
  readonly max: number[]
}

export function noRanges(): RangesSum {
  return { samples: [], min: [], max: [] }
}

/** Both together; no sample may be in both. `sum` is changed in place, and not to be used any more. */
export function addRanges(sum: RangesSum, part: Ranges): RangesSum {
  const inOrder = (sum.samples.at(-1) ?? Number.NEGATIVE_INFINITY) < (part.samples[0] ?? Number.POSITIVE_INFINITY)
  for (const [i, sample] of part.samples.entries()) {
    sum.samples.push(sample)
    sum.min.push(part.min[i] as number)
    sum.max.push(part.max[i] as number)
  }
  return inOrder ? sum : sorted(sum)
}

function sorted({ samples, min, max }: Ranges): RangesSum {
  const order = samples.map((_, i) => i).sort((i, j) => (samples[i] as number) - (samples[j] as number))
  const pick = (values: readonly number[]) => order.map((i) => values[i] as number)
  return { samples: pick(samples), min: pick(min), max: pick(max) }
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
