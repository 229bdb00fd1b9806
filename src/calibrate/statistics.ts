import { calibrationWithoutHistograms } from '../errors.ts'
import type { Range, RangeMethod, ValueStatistics } from '../quantize/statistics.ts'
import { entropyRange } from './methods/entropy.ts'
import { huber, leastLossRange, squared } from './methods/least-loss.ts'
import { percentileRange } from './methods/percentile.ts'
import { channelStatistics } from './observers/channels.ts'
import { minMax, movingAverage } from './observers/ranges.ts'
import type { ValueState } from './table.ts'

/** The statistics of a value; a range never leaves what was seen. Throws where a method needs a histogram and there is none. */
export function valueStatistics(name: string, state: ValueState): ValueStatistics {
  const range = minMax(state.ranges)
  const within = ({ min, max }: Range): Range => ({ min: Math.max(min, range.min), max: Math.min(max, range.max) })
  return {
    range,
    channels: state.channels && channelStatistics(state.channels),
    rangeBy: (method) => within(rangeOf(name, state, range, method)),
  }
}

function rangeOf(name: string, { ranges, histogram }: ValueState, range: Range, method: RangeMethod): Range {
  if (method === 'min-max') return range
  if (method === 'moving-average') return movingAverage(ranges)
  if (histogram === undefined)
    throw calibrationWithoutHistograms(name, typeof method === 'string' ? method : 'percentile')
  if (method === 'entropy') return entropyRange(histogram)
  if (method === 'mse') return leastLossRange(histogram, range, squared)
  if (method === 'huber') return leastLossRange(histogram, range, huber)
  return percentileRange(histogram, method.percentile)
}
