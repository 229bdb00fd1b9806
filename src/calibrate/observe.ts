import type { Bins, Moments } from './elements.js'
import type { Instrumentation, WatchedValue } from './instrument.ts'
import { logsumexpOfSample } from './observers/logsumexp.ts'
import { noRanges } from './observers/ranges.ts'
import type { Sight, SiteState, ValueState } from './table.ts'

/** What comes of a run: the vectors that {@link instrument} made the graph give, and what was counted of elements. */
export interface Reduced {
  readonly statistics: Float32Array
  readonly shapes: readonly number[]
  readonly rows: readonly { readonly dims: readonly number[]; readonly data: Float32Array }[]
  readonly histograms: readonly (Bins | undefined)[]
  readonly moments: readonly Moments[]
  /** Resident bytes of the process it was made in. */
  readonly memory: number
}

/** What was seen in one sample. */
export interface Observation extends Sight {
  /** The first value a weight meets that is not finite, when there is one. */
  readonly spoiled: string | undefined
}

/** Reads what came of running a sample. */
export function observe(sample: number, reduced: Reduced, { values, sites }: Instrumentation): Observation {
  const states = new Map<string, ValueState>()
  let spoiled: string | undefined
  let shapeAt = 0
  for (const [i, watched] of values.entries()) {
    const rank = rankReduced(watched)
    const size = reduced.shapes.slice(shapeAt, shapeAt + rank).reduce((product, dim) => product * dim, 1)
    shapeAt += rank
    const state = stateOf(sample, watched, size / watched.count, reduced, i)
    if (state.notFinite > 0 && watched.channels !== undefined) spoiled ??= watched.name
    states.set(watched.name, state)
  }
  const rows = sites.map((site, i): SiteState => {
    const { dims, data } = reduced.rows[i] as Reduced['rows'][number]
    return { ...site, logsumexp: logsumexpOfSample(data, dims, site.heads) }
  })
  return { samples: [sample], skipped: [], values: states, sites: rows, spoiled }
}

/** Rank of a value as it was reduced: flat without channels, rows of channels, or as it is. */
function rankReduced({ channels }: WatchedValue): number {
  if (channels === undefined) return 1
  return channels.axis === -1 ? 2 : (channels.rank ?? 2)
}

function stateOf(sample: number, watched: WatchedValue, rows: number, reduced: Reduced, i: number): ValueState {
  const { at, count, channels: layout } = watched
  const part = (k: number) => reduced.statistics.subarray(at + k * count, at + (k + 1) * count)
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
    histogram: reduced.histograms[i],
    moments: reduced.moments[i],
  }
}

function extreme(values: Float32Array, pick: (a: number, b: number) => number): number {
  return values.reduce((a, b) => pick(a, b))
}
