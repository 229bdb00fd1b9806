import { calibrationOverlap, calibrationStale, calibrationUnlike } from '../errors.ts'
import { SightSum } from './sight-sum.ts'
import type { TableHead } from './table.ts'
import { CalibrationTable } from './table.ts'

/**
 * One table of several parts of a selection, the same whatever the division and the order: ranges and histograms to the
 * bit, sums and moments to rounding. Throws `calibration-stale`, `calibration-unlike` and `calibration-overlap`.
 */
export function mergeTables(parts: readonly [CalibrationTable, ...CalibrationTable[]]): CalibrationTable {
  const [first, ...rest] = parts
  for (const part of rest) checkAlike(part, first)
  const seen = new Set<number>()
  for (const index of parts.flatMap(indexesOf)) {
    if (seen.has(index)) throw calibrationOverlap(index)
    seen.add(index)
  }
  const sum = new SightSum()
  for (const part of [...parts].sort((a, b) => firstOf(a) - firstOf(b))) sum.add(part)
  const data = { ...first.data, selection: { ...first.data.selection, shard: null } }
  return new CalibrationTable({ ...first, data }, sum)
}

/** Refuses to put together what was seen of other models, other data or in other ways. */
export function checkAlike(table: TableHead, other: TableHead): void {
  if (table.fingerprint !== other.fingerprint) throw calibrationStale()
  if (table.data.hash !== other.data.hash) throw calibrationUnlike('other data')
  const { all, histograms, moments } = table.watching
  const { watching } = other
  if (all !== watching.all || histograms !== watching.histograms || moments !== watching.moments)
    throw calibrationUnlike('other settings')
}

/** The samples a table knows of. */
export function indexesOf({ samples, skipped }: CalibrationTable): readonly number[] {
  return [...samples, ...skipped.map(({ index }) => index)]
}

function firstOf(table: CalibrationTable): number {
  return indexesOf(table).reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)
}
