import type { Range } from '../../quantize/statistics.ts'
import type { Histogram } from '../observers/histogram.ts'
import { quantile } from '../observers/histogram.ts'

/** The range that leaves out `100 - percentile` percent of the elements, half of them on either side. */
export function percentileRange(histogram: Histogram, percentile: number): Range {
  const cut = (100 - percentile) / 200
  return { min: quantile(histogram, cut), max: quantile(histogram, 1 - cut) }
}
