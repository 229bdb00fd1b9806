import type { Heads } from '../attention/index.ts'
import type { DataManifest, SkippedSample } from '../data/source.ts'
import type { Statistics } from '../quantize/statistics.ts'
import type { Watching } from './instrument.ts'
import type { Channels } from './observers/channels.ts'
import { mergeChannels } from './observers/channels.ts'
import type { Histogram } from './observers/histogram.ts'
import { mergeHistograms } from './observers/histogram.ts'
import type { Logsumexp } from './observers/logsumexp.ts'
import { mergeLogsumexp } from './observers/logsumexp.ts'
import type { Moments } from './observers/moments.ts'
import { mergeMoments } from './observers/moments.ts'
import type { Ranges } from './observers/ranges.ts'
import { mergeRanges, minMax } from './observers/ranges.ts'
import { valueStatistics } from './statistics.ts'

/** What was seen of one value. */
export interface ValueState {
  readonly ranges: Ranges
  /** Samples in which an element was infinite or NaN; nothing else here counts them. */
  readonly notFinite: number
  readonly channels: Channels | undefined
  readonly histogram: Histogram | undefined
  readonly moments: Moments | undefined
}

/** What was seen of the rows of one attention. */
export interface SiteState {
  readonly node: string
  /** The name of the probabilities: the identity of a site. */
  readonly output: string
  /** Undefined where they are not known: then all rows are of one. */
  readonly heads: Heads | undefined
  readonly logsumexp: Logsumexp
}

export interface TableParts {
  /** Of the model it was made with: {@link fingerprintOf}. */
  readonly fingerprint: string
  readonly data: DataManifest
  readonly watching: Watching
  /** Indexes of the samples that were seen, rising. */
  readonly samples: readonly number[]
  readonly skipped: readonly SkippedSample[]
  readonly values: ReadonlyMap<string, ValueState>
  readonly sites: readonly SiteState[]
}

/** What was observed of a model on data, by value name: all that is needed to change method or bits without running again. */
export class CalibrationTable implements TableParts {
  readonly fingerprint: string
  readonly data: DataManifest
  readonly watching: Watching
  readonly samples: readonly number[]
  readonly skipped: readonly SkippedSample[]
  readonly values: ReadonlyMap<string, ValueState>
  readonly sites: readonly SiteState[]

  constructor(parts: TableParts) {
    this.fingerprint = parts.fingerprint
    this.data = parts.data
    this.watching = parts.watching
    this.samples = parts.samples
    this.skipped = parts.skipped
    this.values = parts.values
    this.sites = parts.sites
  }

  /** As the quantizer asks; undefined also for a value that was never finite. */
  readonly statistics: Statistics = (name) => {
    const state = this.values.get(name)
    return state === undefined || state.ranges.samples.length === 0 ? undefined : valueStatistics(name, state)
  }

  /** How many samples the data, or the shard of it, has; those that were skipped count. */
  get wanted(): number {
    const { samples, shard } = this.data.selection
    if (shard === null) return samples
    const edge = (i: number) => Math.floor((i * samples) / shard.count)
    return edge(shard.index) - edge(shard.index - 1)
  }

  /** Whether the data was gone through to its end. */
  get isComplete(): boolean {
    return this.samples.length + this.skipped.length >= this.wanted
  }
}

/** What was seen in two disjoint sets of samples of one selection, with one setting. */
export function mergeStates(
  a: TableParts,
  b: TableParts,
): Pick<TableParts, 'samples' | 'skipped' | 'values' | 'sites'> {
  const values = new Map(a.values)
  for (const [name, state] of b.values) {
    const known = values.get(name)
    values.set(name, known === undefined ? state : mergeValues(known, state))
  }
  return {
    samples: inOrder(a.samples, b.samples),
    skipped: [...a.skipped, ...b.skipped].sort((x, y) => x.index - y.index),
    values,
    sites:
      a.sites.length === 0
        ? b.sites
        : b.sites.length === 0
          ? a.sites
          : a.sites.map((site, i) => mergeSites(site, b.sites[i])),
  }
}

/** Rising, as both are; the second often only goes on where the first ends. */
function inOrder(a: readonly number[], b: readonly number[]): readonly number[] {
  const all = a.concat(b)
  return (a.at(-1) ?? -1) < (b[0] ?? 0) ? all : all.sort((x, y) => x - y)
}

function mergeSites(a: SiteState, b: SiteState | undefined): SiteState {
  return b === undefined ? a : { ...a, logsumexp: mergeLogsumexp(a.logsumexp, b.logsumexp) }
}

function mergeValues(a: ValueState, b: ValueState): ValueState {
  const ranges = mergeRanges(a.ranges, b.ranges)
  const range = minMax(ranges)
  return {
    ranges,
    notFinite: a.notFinite + b.notFinite,
    channels: both(a.channels, b.channels, mergeChannels),
    histogram: both(a.histogram, b.histogram, (x, y) => mergeHistograms(x, y, range)),
    moments: both(a.moments, b.moments, mergeMoments),
  }
}

function both<T>(a: T | undefined, b: T | undefined, merge: (a: T, b: T) => T): T | undefined {
  return a === undefined ? b : b === undefined ? a : merge(a, b)
}
