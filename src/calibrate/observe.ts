import type { Bins, Moments } from './elements.js'
import type { Instrumentation, WatchedValue } from './instrument.ts'
import type { HeadRowsSum } from './observers/logsumexp.ts'
import { addHeadRows, logsumexpOfSample, noRows } from './observers/logsumexp.ts'
import { noRanges } from './observers/ranges.ts'
import type { WatchedSite } from './site-gauge.ts'
import { endOfSite } from './site-gauge.ts'
import type { Sight, SiteState, ValueState } from './table.ts'

/** What comes of a run: the vector that {@link instrument} made the graph give, and what was counted of elements. */
export interface Reduced {
  readonly vector: Float32Array
  readonly histograms: readonly (Bins | undefined)[]
  readonly moments: readonly Moments[]
  /** Resident bytes of the process it was made in. */
  readonly memory: number
}

/** What was seen in one sample. */
export interface Observation extends Sight {
  /** The first value a weight meets that is not finite, when there is one. */
  readonly spoiled: string | undefined
  /** What the elements of each value take. */
  readonly bytes: ReadonlyMap<string, number>
}

/** Reads what came of running a sample. */
export function observe(sample: number, reduced: Reduced, { values, sites }: Instrumentation): Observation {
  const states = new Map<string, ValueState>()
  const bytes = new Map<string, number>()
  let spoiled: string | undefined
  let end = 0
  for (const watched of values) {
    const state = stateOf(sample, watched, reduced)
    bytes.set(watched.name, 4 * elementsOf(watched, reduced))
    if (state.notFinite > 0 && watched.channels !== undefined) spoiled ??= watched.name
    states.set(watched.name, state)
    end = watched.at + 3 * watched.count + watched.rank
  }
  const rows = sites.map((site): SiteState => {
    const { state, next } = stateOfSite(site, reduced.vector, end)
    end = next
    return state
  })
  return { samples: [sample], skipped: [], values: states, sites: rows, spoiled, bytes }
}

/** Reads the part of a site, and where the next begins. */
function stateOfSite(site: WatchedSite, vector: Float32Array, start: number): { state: SiteState; next: number } {
  if (site.unobserved !== undefined) return { state: { ...site, logsumexp: [] }, next: start }
  const logsumexp: HeadRowsSum[] = Array.from({ length: site.heads?.count ?? 1 }, () => noRows)
  let at = start
  while (at < vector.length && vector[at] !== endOfSite) {
    const rank = vector[at] as number
    const dims = [...vector.subarray(at + 1, at + 1 + rank)]
    const data = vector.subarray(at + 1 + rank, at + 1 + rank + sizeOf(dims))
    for (const [head, rows] of logsumexpOfSample(data, dims, site.heads).entries())
      logsumexp[head] = addHeadRows(logsumexp[head] ?? noRows, rows)
    at += 1 + rank + data.length
  }
  return { state: { ...site, logsumexp }, next: at + 1 }
}

function sizeOf(dims: ArrayLike<number>): number {
  return Array.from(dims).reduce((size, dim) => size * dim, 1)
}

function elementsOf({ at, count, rank }: WatchedValue, { vector }: Reduced): number {
  return sizeOf(vector.subarray(at + 3 * count, at + 3 * count + rank))
}

function stateOf(sample: number, watched: WatchedValue, reduced: Reduced): ValueState {
  const { at, count, channels: layout, element } = watched
  const { vector } = reduced
  const part = (k: number) => vector.subarray(at + k * count, at + (k + 1) * count)
  const rows = elementsOf(watched, reduced) / count
  const [max, min, sum] = [part(0), part(1), part(2)]
  // A zero has no sign in a table.
  const range = { min: extreme(min, Math.min) + 0, max: extreme(max, Math.max) + 0 }
  // A runtime may lose a NaN in extremes, but not in a sum.
  const finite = [range.min, range.max, ...(layout === undefined ? [] : sum)].every(Number.isFinite)
  if (!finite) return { ranges: noRanges(), notFinite: 1 }
  return {
    ranges: { samples: [sample], min: [range.min], max: [range.max] },
    notFinite: 0,
    channels: layout && { axis: layout.axis, rows, min, max, sum },
    histogram: element === undefined ? undefined : reduced.histograms[element],
    moments: element === undefined ? undefined : reduced.moments[element],
  }
}

function extreme(values: Float32Array, pick: (a: number, b: number) => number): number {
  return values.reduce((a, b) => pick(a, b))
}
