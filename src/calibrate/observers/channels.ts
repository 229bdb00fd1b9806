import type { ChannelStatistics } from '../../quantize/statistics.ts'

/** Extremes and sums of every channel. */
export interface Channels {
  /** Negative axis the channels lie along. */
  readonly axis: number
  /** Elements of a channel that were seen. */
  readonly rows: number
  readonly min: ArrayLike<number>
  readonly max: ArrayLike<number>
  readonly sum: ArrayLike<number>
}

/** Channels that are added to. */
export interface ChannelsSum extends Channels {
  rows: number
  readonly min: Float64Array
  readonly max: Float64Array
  readonly sum: Float64Array
}

export function noChannels({ axis, min: { length } }: Channels): ChannelsSum {
  return {
    ...{ axis, rows: 0, sum: new Float64Array(length) },
    min: new Float64Array(length).fill(Number.POSITIVE_INFINITY),
    max: new Float64Array(length).fill(Number.NEGATIVE_INFINITY),
  }
}

/** Both together. `sum` is changed in place. */
export function addChannels(sum: ChannelsSum, part: Channels): ChannelsSum {
  sum.rows += part.rows
  for (let i = 0; i < sum.sum.length; i++) {
    sum.min[i] = Math.min(sum.min[i] as number, part.min[i] as number)
    sum.max[i] = Math.max(sum.max[i] as number, part.max[i] as number)
    sum.sum[i] = (sum.sum[i] as number) + (part.sum[i] as number)
  }
  return sum
}

export function channelStatistics({ axis, rows, min, max, sum }: Channels): ChannelStatistics {
  const mean = Float64Array.from(sum, (x) => x / rows)
  return { axis, min: Float64Array.from(min), max: Float64Array.from(max), mean }
}
