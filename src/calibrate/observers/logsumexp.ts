import type { Heads } from '../../attention/index.ts'
import type { Histogram } from './histogram.ts'
import { addAt } from './histogram.ts'

/** `L = ln Σ exp(x)` of the rows of one attention head. */
export interface HeadRows {
  readonly rows: Histogram
  /** Rows all of whose keys are hidden; they have no L. */
  readonly masked: number
}

/** Of every head of a site; of one where its heads are not known. */
export type Logsumexp = readonly HeadRows[]

/** Bins of 1/64: a quantile is off by less, and so is a sink. Fixed, so that sketches merge exactly. */
const exponent = -6
/** Below this a row is hidden by its mask, or as good as; above its negative all rows are alike. */
const lowest = -1000

/** Counts the rows of a sample, heads along axis -3 of `dims`; the normalised axis is there with size 1. */
export function logsumexpOfSample(data: Float32Array, dims: readonly number[], heads: Heads | undefined): Logsumexp {
  const count = heads?.count ?? 1
  const inner =
    heads === undefined ? data.length : dims.slice(heads.axis + 1).reduce((product, dim) => product * dim, 1)
  return Array.from({ length: count }, (_, head) => {
    const own: number[] = []
    for (let start = head * inner; start < data.length; start += count * inner) {
      for (let i = start; i < start + inner; i++) own.push(data[i] as number)
    }
    return headRows(own)
  })
}

function headRows(values: readonly number[]): HeadRows {
  const bins = values.filter((l) => l > lowest).map((l) => Math.floor(Math.min(l, -lowest) / 2 ** exponent))
  const first = bins.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)
  const last = bins.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  const counts = new Float64Array(Math.max(0, last - first + 1))
  for (const bin of bins) counts[bin - first] = (counts[bin - first] as number) + 1
  return { rows: { exponent, first: bins.length === 0 ? 0 : first, counts }, masked: values.length - bins.length }
}

export function mergeLogsumexp(a: Logsumexp, b: Logsumexp): Logsumexp {
  return a.map((head, i) => {
    const other = b[i] as HeadRows
    return { rows: addAt(exponent, head.rows, other.rows), masked: head.masked + other.masked }
  })
}
