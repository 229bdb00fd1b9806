import type { Bins, Moments } from './elements.js'
import type { Instrumentation, WatchedValue } from './instrument.ts'
import { logsumexpOfSample } from './observers/logsumexp.ts'
import { noRanges } from './observers/ranges.ts'
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
  const rows = sites.map(({ node, output, heads, rank }): SiteState => {
    const dims = [...reduced.vector.subarray(end, end + rank)]
    const data = reduced.vector.subarray(end + rank, end + rank + sizeOf(dims))
    end += rank + data.length
    return { node, output, heads, logsumexp: logsumexpOfSample(data, dims, heads) }
  })
  return { samples: [sample], skipped: [], values: states, sites: rows, spoiled, bytes }
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
