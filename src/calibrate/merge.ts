import { calibrationOverlap, calibrationStale, calibrationUnlike } from '../errors.ts'
import type { TableParts } from './table.ts'
import { CalibrationTable, mergeStates } from './table.ts'

/**
 * One table of several parts of a selection, the same whatever the division and the order: ranges and histograms to the
 * bit, means and moments to rounding. Throws `calibration-stale`, `calibration-unlike` and `calibration-overlap`.
 */
export function mergeTables(parts: readonly [CalibrationTable, ...CalibrationTable[]]): CalibrationTable {
  const [first, ...rest] = parts
  const all = [...parts].sort((a, b) => (firstOf(a) ?? 0) - (firstOf(b) ?? 0))
  for (const part of rest) checkAlike(part, first)
  const seen = new Set<number>()
  for (const index of parts.flatMap(indexesOf)) {
    if (seen.has(index)) throw calibrationOverlap(index)
    seen.add(index)
  }
  const data = { ...first.data, selection: { ...first.data.selection, shard: null } }
  let merged: TableParts = { ...first, data, ...nothing }
  for (const part of all) merged = { ...merged, ...mergeStates(merged, part) }
  return new CalibrationTable(merged)
}

const nothing = { samples: [], skipped: [], values: new Map(), sites: [] }

function indexesOf({ samples, skipped }: CalibrationTable): readonly number[] {
  return [...samples, ...skipped.map(({ index }) => index)]
}

function firstOf(table: CalibrationTable): number | undefined {
  return indexesOf(table).toSorted((a, b) => a - b)[0]
}

/** Refuses to put together what was seen of other models, other data or in other ways. */
export function checkAlike(table: TableParts, other: TableParts): void {
  if (table.fingerprint !== other.fingerprint) throw calibrationStale()
  if (table.data.hash !== other.data.hash) throw calibrationUnlike('other data')
  const { all, histograms, moments } = table.watching
  const { watching } = other
  if (all !== watching.all || histograms !== watching.histograms || moments !== watching.moments)
    throw calibrationUnlike('other settings')
}
