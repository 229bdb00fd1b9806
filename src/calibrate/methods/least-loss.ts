import type { Range } from '../../quantize/statistics.ts'
import type { Histogram } from '../observers/histogram.ts'

/** What an error of `error` counts when values are `step` apart. */
export type Loss = (error: number, step: number) => number

export const squared: Loss = (error) => error * error

/**
 * Huber's loss with a knee of two steps: quadratic for rounding, linear for clipping, so that a few outliers move a range
 * less than with squares. A design of this project; it is not in the literature, and hurts models whose outliers matter.
 */
export const huber: Loss = (error, step) => {
  const knee = 2 * step
  const size = Math.abs(error)
  return size <= knee ? size * size : knee * (2 * size - knee)
}

/** Ends that are tried, from a hundredth of the range on. */
const candidates = 100
const mostTurns = 8

/**
 * The range, 0 inside, with the least sum of `loss(x - quantized(x))` for 2^bits levels: either end is moved in hundredths
 * of the whole range while that helps. Bins are taken at their middle.
 */
export function leastLossRange(histogram: Histogram, range: Range, loss: Loss, bits = 8): Range {
  const bins = middles(histogram)
  const whole = { min: Math.min(range.min, 0), max: Math.max(range.max, 0) }
  let best: Range = whole
  let least = lossOf(bins, best, loss, bits)
  const better = (candidate: Range): void => {
    const value = lossOf(bins, candidate, loss, bits)
    if (value < least) [best, least] = [candidate, value]
  }
  for (let turn = 0, before = Number.POSITIVE_INFINITY; turn < mostTurns && least < before; turn++) {
    before = least
    for (let i = 1; i <= candidates; i++) better({ min: best.min, max: (whole.max * i) / candidates })
    for (let i = 0; i <= candidates; i++) better({ min: (whole.min * i) / candidates, max: best.max })
  }
  return best
}

interface Bins {
  readonly at: Float64Array
  readonly counts: Float64Array
}

/** The bins that are not empty. */
function middles({ exponent, first, counts }: Histogram): Bins {
  const filled = Array.from({ length: counts.length }, (_, i) => i).filter((i) => counts[i] !== 0)
  return {
    at: Float64Array.from(filled, (i) => (first + i + 0.5) * 2 ** exponent),
    counts: Float64Array.from(filled, (i) => counts[i] as number),
  }
}

function lossOf({ at, counts }: Bins, { min, max }: Range, loss: Loss, bits: number): number {
  const step = (max - min) / (2 ** bits - 1)
  if (!(step > 0)) return Number.POSITIVE_INFINITY
  const zero = Math.round(-min / step)
  const last = 2 ** bits - 1
  let sum = 0
  for (let i = 0; i < at.length; i++) {
    const x = at[i] as number
    const level = Math.min(last, Math.max(0, Math.round(x / step) + zero))
    sum += (counts[i] as number) * loss(x - (level - zero) * step, step)
  }
  return sum
}
