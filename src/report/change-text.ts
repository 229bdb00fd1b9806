import type { ChangeEntry, MeasuredChange, ReportDocument } from './document.ts'
import { count } from './table.ts'

/** What a conversion changes, as people read it; nothing where no data was seen. */
export function changeLines({ change, calibration }: ReportDocument): string[] {
  if (!change) return []
  const seen = calibration === undefined ? '' : `, by ${count(calibration.samples, 'sample')}`
  return [predictedLine(change, seen), ...(change.measured === null ? [] : measuredLines(change.measured))]
}

function predictedLine({ predicted }: ChangeEntry, seen: string): string {
  const { gate, worst } = predicted
  return `Attention keeps ${percent(gate)} of its output in the mean${seen}; least "${worst.node}" head ${worst.head}: ${percent(worst.gate)}.`
}

function measuredLines({ samples, outputs, outliers }: MeasuredChange): string[] {
  const lines = outputs.map(
    ({ name, cosine, maxAbs }) =>
      `"${name}" on ${count(samples, 'sample')}: 1 - cosine ${small(1 - cosine.mean)}, at worst ${small(1 - cosine.worst)}; largest distance ${small(maxAbs)}.`,
  )
  if (outliers === null) return lines
  const { before, after } = outliers
  return [
    ...lines,
    `Outliers before and after: kurtosis ${before.kurtosis.toFixed(1)} and ${after.kurtosis.toFixed(1)}, infinity norm ${before.infinityNorm.toFixed(1)} and ${after.infinityNorm.toFixed(1)}.`,
    'A new normaliser does not take outliers away; training with it does.',
  ]
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`
}

function small(x: number): string {
  return Math.abs(x) < 1e-3 ? Math.max(0, x).toExponential(1) : x.toFixed(4)
}
