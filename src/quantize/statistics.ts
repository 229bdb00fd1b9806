/** What calibration saw, as the quantizer asks for it. */

/** A closed interval of the reals. */
export interface Range {
  readonly min: number
  readonly max: number
}

/** Extremes and mean of every channel over all samples and positions. `axis` is negative: -1 is the last. */
export interface ChannelStatistics {
  readonly axis: number
  readonly min: Float64Array
  readonly max: Float64Array
  readonly mean: Float64Array
}

/** How the extremes of a value become the range that is represented; all but `min-max` clip. */
export type RangeMethod = 'min-max' | 'moving-average' | 'entropy' | 'mse' | 'huber' | { readonly percentile: number }

export interface ValueStatistics {
  readonly range: Range
  /** Undefined where channels were not observed. */
  readonly channels: ChannelStatistics | undefined
  /** The range a method would represent. */
  rangeBy(method: RangeMethod): Range
}

/** Statistics by value name; undefined for a value that was not observed. */
export type Statistics = (valueName: string) => ValueStatistics | undefined

/**
 * The statistics of `(x - shift) / scale`, channel by channel, from those of x.
 *
 * The channels move apart, so that a clipped range of x says nothing of the result: every method gives its extremes, until
 * the result itself is observed.
 */
export function transformed(channels: ChannelStatistics, scale: Float64Array, shift: Float64Array): ValueStatistics {
  const made = transformedChannels(channels, scale, shift)
  const range = { min: smallest(made.min), max: largest(made.max) }
  return { range, channels: made, rangeBy: () => range }
}

export function transformedChannels(
  { axis, min, max, mean }: ChannelStatistics,
  scale: Float64Array,
  shift: Float64Array,
): ChannelStatistics {
  const map = (values: Float64Array) => values.map((x, j) => (x - (shift[j] as number)) / (scale[j] as number))
  return { axis, min: map(min), max: map(max), mean: map(mean) }
}

function smallest(values: Float64Array): number {
  return values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)
}

function largest(values: Float64Array): number {
  return values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
}
