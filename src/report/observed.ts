import type { CalibrationTable, ValueState } from '../calibrate/index.ts'
import { coarsened } from '../calibrate/index.ts'
import type { Graph } from '../ir/index.ts'
import type { Range, RangeMethod } from '../quantize/statistics.ts'

/** What was seen of the values of a model, as fine as it is drawn. */
export interface ObservedEntry {
  /** In the order of the graph. */
  readonly values: readonly ObservedValue[]
}

export interface ObservedValue {
  readonly value: string
  /** The node that gives it; null for an input of the graph, and where the model was not at hand. */
  readonly node: string | null
  readonly range: Range
  /** Null where no histogram was observed. */
  readonly histogram: Bins | null
  /** Where each method that clips would clip. */
  readonly clips: readonly Clip[]
  /** Null where channels were not observed. */
  readonly channels: ChannelMaxima | null
}

/** Counts of elements in bins of equal width: bin `i` holds `[low + i width, low + (i + 1) width)`. */
export interface Bins {
  readonly low: number
  readonly width: number
  readonly counts: readonly number[]
}

export interface Clip extends Range {
  readonly method: string
}

/** The largest magnitudes of channels, of neighbours together so that there are 64 at most. */
export interface ChannelMaxima {
  readonly count: number
  /** Channels that stand together; the last may be fewer. */
  readonly each: number
  readonly largest: readonly number[]
  /** The channel that reaches furthest, and how far; the median of all channels. */
  readonly peak: { readonly channel: number; readonly largest: number }
  readonly median: number
}

/** Bins of a drawn histogram, and columns of the heat map, at most. */
export const mostColumns = 64

/** Methods whose clipping is shown, by the names `--range` has for them. */
const clipping: readonly (readonly [string, RangeMethod])[] = [
  ['percentile', { percentile: 99.999 }],
  ['entropy', 'entropy'],
  ['mse', 'mse'],
]

/** What a table saw, by value; `graph` says which node gives a value. */
export function observedEntry(table: CalibrationTable, graph?: Graph): ObservedEntry {
  const seen = [...table.values].filter(([, { ranges }]) => ranges.samples.length > 0)
  return { values: seen.map(([name, state]) => observedValue(table, name, state, graph)) }
}

function observedValue(table: CalibrationTable, value: string, state: ValueState, graph?: Graph): ObservedValue {
  const { histogram, channels } = state
  const statistics = table.statistics(value)
  const clips = histogram && statistics ? clipping : []
  return {
    value,
    node: graph?.values.get(value)?.producer?.name || null,
    range: statistics?.range ?? { min: 0, max: 0 },
    histogram: histogram === undefined ? null : coarsened(histogram, mostColumns),
    clips: clips.flatMap(([method, by]) => (statistics ? [{ method, ...statistics.rangeBy(by) }] : [])),
    channels: channels === undefined ? null : channelMaxima(channels),
  }
}

function channelMaxima({ min, max }: NonNullable<ValueState['channels']>): ChannelMaxima {
  const all = Array.from(min, (low, i) => Math.max(Math.abs(low), Math.abs(max[i] as number)))
  const each = Math.ceil(all.length / mostColumns)
  const largest = Array.from({ length: Math.ceil(all.length / each) }, (_, i) =>
    all.slice(i * each, (i + 1) * each).reduce((a, b) => Math.max(a, b), 0),
  )
  const peak = all.reduce((best, x, i) => (x > (all[best] as number) ? i : best), 0)
  const median = all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)] as number
  return { count: all.length, each, largest, peak: { channel: peak, largest: all[peak] as number }, median }
}
