import type { Histogram } from './observers/histogram.ts'
import { meanOf, quantile, totalOf } from './observers/histogram.ts'
import type { HeadRows } from './observers/logsumexp.ts'

export interface SinkTarget {
  /** Most that a row may change, as a share of it. Default 1 %. */
  readonly maxChange?: number | undefined
  /** Share of rows that may change more. Default 0.1 %. */
  readonly quantile?: number | undefined
}

/** What Softmax1 with a sink does to a head trained with softmax. */
export interface HeadChange {
  /** The mean of `g = sigmoid(L - sink)`, by which a row of attention is multiplied; 1 is no change. */
  readonly gate: number
  /** Share of the rows that lose more than a tenth. */
  readonly changed: number
}

/**
 * The sink that changes no more than a share of the rows by more than `maxChange`:
 * `q(L, quantile) - ln((1 - maxChange) / maxChange)`. Undefined for a head without rows.
 */
export function calibratedSink({ rows }: HeadRows, target: SinkTarget = {}): number | undefined {
  const { maxChange = 0.01, quantile: share = 0.001 } = target
  const low = quantile(rows, share)
  return Number.isNaN(low) ? undefined : low - Math.log((1 - maxChange) / maxChange)
}

/** What a sink changes, by the rows that were seen; hidden rows become 0 in any case and do not count. */
export function changeOf({ rows }: HeadRows, sink = 0): HeadChange | undefined {
  if (totalOf(rows) === 0) return undefined
  const gate = (l: number) => 1 / (1 + Math.exp(sink - l))
  return { gate: meanOf(rows, gate), changed: shareBelow(rows, sink + Math.log(9)) }
}

/** The share of elements below a number, bins taken as evenly filled. */
function shareBelow(histogram: Histogram, x: number): number {
  const { exponent, first, counts } = histogram
  const at = x / 2 ** exponent - first
  let below = 0
  for (let i = 0; i < counts.length; i++) below += (counts[i] as number) * Math.min(1, Math.max(0, at - i))
  return below / totalOf(histogram)
}
