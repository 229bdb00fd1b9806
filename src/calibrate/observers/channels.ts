import type { ChannelStatistics } from '../../quantize/statistics.ts'

/** Extremes and sums of every channel. */
export interface Channels {
  /** Negative axis the channels lie along. */
  readonly axis: number
  /** Elements of a channel that were seen. */
  readonly rows: number
  readonly min: Float64Array
  readonly max: Float64Array
  readonly sum: Float64Array
}

export function mergeChannels(a: Channels, b: Channels): Channels {
  return {
    axis: a.axis,
    rows: a.rows + b.rows,
    min: a.min.map((x, i) => Math.min(x, b.min[i] as number)),
    max: a.max.map((x, i) => Math.max(x, b.max[i] as number)),
    sum: a.sum.map((x, i) => x + (b.sum[i] as number)),
  }
}

export function channelStatistics({ axis, rows, min, max, sum }: Channels): ChannelStatistics {
  return { axis, min, max, mean: sum.map((x) => x / rows) }
}
