import type { ChangeEntry, MeasuredChange, SiteEntry } from './document.ts'

/** What the converted sites of a model change, by what is known of each. Null where nothing is. */
export function changeEntry(sites: readonly SiteEntry[], measured: MeasuredChange | null): ChangeEntry | null {
  const known = sites.flatMap(({ node, change }) => (change === null ? [] : [{ node, ...change }]))
  const [first] = known
  if (first === undefined) return null
  const worst = known.reduce((a, b) => (b.worst.gate < a.worst.gate ? b : a), first)
  return {
    predicted: {
      gate: known.reduce((sum, { gate }) => sum + gate, 0) / known.length,
      worst: { node: worst.node, ...worst.worst },
    },
    measured,
  }
}
