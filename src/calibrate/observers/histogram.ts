import type { Range } from '../../quantize/statistics.ts'
import { exponentFor } from '../elements.js'

/**
 * Counts of elements in bins of width `2^exponent` anchored at 0: bin `first + i` holds `[first + i, first + i + 1)` widths.
 *
 * A width is doubled by adding neighbours, so histograms of any ranges merge exactly, in any order.
 */
export interface Histogram {
  readonly exponent: number
  readonly first: number
  readonly counts: ArrayLike<number>
}

/**
 * The histogram of the elements of both, as if they had been counted together. `range` is the range of all of them: it
 * decides how wide the bins have to be.
 */
export function mergeHistograms(a: Histogram, b: Histogram, range: Range): Histogram {
  return addAt(exponentFor(range.min, range.max, Math.max(a.exponent, b.exponent)), a, b)
}

/** The sum of both in bins of a given width, which is none of theirs or wider. */
export function addAt(exponent: number, a: Histogram, b: Histogram): Histogram {
  const ends = [a, b].filter(({ counts }) => counts.length > 0).map((part) => endsAt(part, exponent))
  const first = Math.min(...ends.map(([start]) => start))
  const last = Math.max(...ends.map(([, end]) => end))
  if (ends.length === 0) return { exponent, first: 0, counts: new Float64Array(0) }
  const counts = new Float64Array(last - first + 1)
  for (const part of [a, b]) {
    const ratio = 2 ** (exponent - part.exponent)
    for (let i = 0; i < part.counts.length; i++) {
      const bin = Math.floor((part.first + i) / ratio) - first
      counts[bin] = (counts[bin] as number) + (part.counts[i] as number)
    }
  }
  return { exponent, first, counts }
}

function endsAt({ exponent: own, first, counts }: Histogram, exponent: number): readonly [number, number] {
  const ratio = 2 ** (exponent - own)
  return [Math.floor(first / ratio), Math.floor((first + counts.length - 1) / ratio)]
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
