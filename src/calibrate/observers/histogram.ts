import { fits, leastExponent, mostBins } from '../elements.js'

/**
 * Counts of elements in bins of width `2^exponent` anchored at 0: bin `first + i` holds `[first + i, first + i + 1)` widths.
 * The first and the last bin are not empty.
 *
 * A width is doubled by adding neighbours, so histograms of any ranges merge exactly, in any order.
 */
export interface Histogram {
  readonly exponent: number
  readonly first: number
  readonly counts: ArrayLike<number>
}

/** A histogram that is added to. */
export interface HistogramSum extends Histogram {
  readonly counts: Float64Array
}

export const noElements: HistogramSum = { exponent: leastExponent, first: 0, counts: new Float64Array(0) }

/**
 * The histogram of the elements of both, as if they had been counted together: in the narrowest bins, none narrower than
 * theirs, of which `most` are enough. `sum` is changed in place where it has room, and not to be used any more.
 */
export function addHistogram(sum: HistogramSum, part: Histogram, most = mostBins): HistogramSum {
  if (part.counts.length === 0) return sum
  let exponent = Math.max(sum.exponent, part.exponent)
  let [first, last] = union(endsAt(sum, exponent), endsAt(part, exponent))
  while (!fits(first, last, most)) {
    exponent++
    ;[first, last] = [Math.floor(first / 2), Math.floor(last / 2)]
  }
  const hasRoom = exponent === sum.exponent && first === sum.first && last === first + sum.counts.length - 1
  const wider = hasRoom ? sum : { exponent, first, counts: new Float64Array(last - first + 1) }
  if (!hasRoom) addInto(wider, sum)
  addInto(wider, part)
  return wider
}

/** Adds counts to bins that are as wide or wider and reach as far. */
function addInto({ exponent, first, counts }: HistogramSum, part: Histogram): void {
  const ratio = 2 ** (exponent - part.exponent)
  for (let i = 0; i < part.counts.length; i++) {
    const bin = (ratio === 1 ? part.first + i : Math.floor((part.first + i) / ratio)) - first
    counts[bin] = (counts[bin] as number) + (part.counts[i] as number)
  }
}

type Ends = readonly [first: number, last: number]

/** The first and the last bin at another width; undefined where there is none. */
function endsAt({ exponent: own, first, counts }: Histogram, exponent: number): Ends | undefined {
  if (counts.length === 0) return undefined
  const ratio = 2 ** (exponent - own)
  return [Math.floor(first / ratio), Math.floor((first + counts.length - 1) / ratio)]
}

function union(a: Ends | undefined, b: Ends | undefined): Ends {
  const [x, y] = [a ?? b, b ?? a] as [Ends, Ends]
  return [Math.min(x[0], y[0]), Math.max(x[1], y[1])]
}

/** The same counts in `most` bins at most, as numbers: bin `i` holds `[low + i width, low + (i + 1) width)`. */
export function coarsened(histogram: Histogram, most: number): { low: number; width: number; counts: number[] } {
  const { exponent, first, counts } = addHistogram(noElements, histogram, most)
  const width = 2 ** exponent
  return { low: first * width, width, counts: Array.from(counts) }
}

export function totalOf({ counts }: Histogram): number {
  let total = 0
  for (let i = 0; i < counts.length; i++) total += counts[i] as number
  return total
}

/** The number below which a share `q` of the elements lies, bins taken as evenly filled; NaN of nothing. */
export function quantile(histogram: Histogram, q: number): number {
  const { exponent, first, counts } = histogram
  const width = 2 ** exponent
  const wanted = q * totalOf(histogram)
  let below = 0
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i] as number
    if (count > 0 && below + count >= wanted) return (first + i + Math.max(0, wanted - below) / count) * width
    below += count
  }
  return Number.NaN
}

/** The mean of a function of the elements, bins taken at their middle; NaN of nothing. */
export function meanOf(histogram: Histogram, f: (x: number) => number): number {
  const { exponent, first, counts } = histogram
  const width = 2 ** exponent
  let sum = 0
  for (let i = 0; i < counts.length; i++) {
    const count = counts[i] as number
    if (count > 0) sum += count * f((first + i + 0.5) * width)
  }
  return sum / totalOf(histogram)
}
