import type { Range } from '../../quantize/statistics.ts'
import type { Histogram } from '../observers/histogram.ts'

/** Bins of the magnitudes that are looked at, and levels each side of 0 is quantized to. */
const mostBins = 2048
const levels = 128

/**
 * The range `[-T, T]` whose quantized distribution tells least from the one it stands for, by the divergence
 * `Σ p ln(p / q)` of Kullback and Leibler: p is the distribution of magnitudes with what lies beyond T put into its last bin,
 * q the one without it, evened out over each of 128 levels. (Migacz, "8-bit inference with TensorRT", GTC 2017.)
 */
export function entropyRange(histogram: Histogram): Range {
  const { width, counts } = magnitudes(histogram)
  let [best, least] = [counts.length, Number.POSITIVE_INFINITY]
  let beyond = 0
  for (let bins = counts.length; bins >= levels; bins--) {
    const divergence = divergenceAt(counts, bins, beyond)
    // The widest of equals.
    if (divergence < least) [best, least] = [bins, divergence]
    beyond += counts[bins - 1] as number
  }
  return { min: -best * width, max: best * width }
}

/** Counts of |x|; a negative bin `[-i - 1, -i)` is bin i. */
function magnitudes({ exponent, first, counts }: Histogram): { width: number; counts: Float64Array } {
  const magnitude = (bin: number) => (bin < 0 ? -bin - 1 : bin)
  const farthest = Math.max(magnitude(first), magnitude(first + counts.length - 1)) + 1
  const shift = Math.max(0, Math.ceil(Math.log2(farthest / mostBins)))
  const folded = new Float64Array(Math.ceil(farthest / 2 ** shift))
  for (let i = 0; i < counts.length; i++) {
    const bin = Math.floor(magnitude(first + i) / 2 ** shift)
    folded[bin] = (folded[bin] as number) + (counts[i] as number)
  }
  return { width: 2 ** (exponent + shift), counts: folded }
}

function divergenceAt(counts: Float64Array, bins: number, beyond: number): number {
  let total = beyond
  for (let i = 0; i < bins; i++) total += counts[i] as number
  const inside = total - beyond
  if (inside === 0) return Number.POSITIVE_INFINITY
  let divergence = 0
  for (let level = 0; level < levels; level++) {
    const [start, end] = [Math.floor((level * bins) / levels), Math.floor(((level + 1) * bins) / levels)]
    let [sum, filled] = [0, 0]
    for (let i = start; i < end; i++) {
      sum += counts[i] as number
      if (counts[i] !== 0) filled++
    }
    for (let i = start; i < end; i++) {
      const p = ((counts[i] as number) + (i === bins - 1 ? beyond : 0)) / total
      if (p === 0) continue
      // What the clipped distribution has nothing of is told apart as well as can be.
      const q = counts[i] === 0 ? Number.EPSILON : sum / filled / inside
      divergence += p * Math.log(p / q)
    }
  }
  return divergence
}
