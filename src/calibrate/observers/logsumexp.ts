import type { Heads } from '../../attention/index.ts'
import type { Histogram, HistogramSum } from './histogram.ts'
import { addHistogram, noElements } from './histogram.ts'

/** `L = ln Σ exp(x)` of the rows of one attention head. */
export interface HeadRows {
  readonly rows: Histogram
  /** Rows all of whose keys are hidden; they have no L. */
  readonly masked: number
}

/** Head rows that are added to. */
export interface HeadRowsSum extends HeadRows {
  readonly rows: HistogramSum
}

/** Bins of 1/64: a quantile is off by less, and so is a sink. Fixed, so that sketches merge exactly. */
const exponent = -6
/** Below this a row is hidden by its mask, or as good as; above its negative all rows are alike. */
const lowest = -1000

/** Counts the rows of every head of a sample, heads along `heads.axis` of `dims`; the normalised axis is there with size 1. */
export function logsumexpOfSample(
  data: ArrayLike<number>,
  dims: readonly number[],
  heads: Heads | undefined,
): readonly HeadRows[] {
  const count = heads?.count ?? 1
  const inner = heads === undefined ? data.length : dims.slice(heads.axis + 1).reduce((n, dim) => n * dim, 1)
  return Array.from({ length: count }, (_, head) => headRows(data, head * inner, inner, count * inner))
}

/** The rows `[start, start + inner)` of every `stride`. */
function headRows(data: ArrayLike<number>, start: number, inner: number, stride: number): HeadRows {
  const bins: number[] = []
  let masked = 0
  for (let from = start; from < data.length; from += stride) {
    for (let i = from; i < from + inner; i++) {
      const l = data[i] as number
      if (l > lowest) bins.push(Math.floor(Math.min(l, -lowest) * 2 ** -exponent) + 0)
      else masked++
    }
  }
  if (bins.length === 0) return { rows: noElements, masked }
  let [first, last] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const bin of bins) [first, last] = [Math.min(first, bin), Math.max(last, bin)]
  const counts = new Uint32Array(last - first + 1)
  for (const bin of bins) counts[bin - first] = (counts[bin - first] as number) + 1
  return { rows: { exponent, first, counts }, masked }
}

export const noRows: HeadRowsSum = { rows: noElements, masked: 0 }

/** Both together. `sum` is changed in place, and not to be used any more. */
export function addHeadRows(sum: HeadRowsSum, part: HeadRows): HeadRowsSum {
  return { rows: addHistogram(sum.rows, part.rows, Number.POSITIVE_INFINITY), masked: sum.masked + part.masked }
}
