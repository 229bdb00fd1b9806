import type { Heads } from '../attention/index.ts'
import type { DataManifest, SkippedSample } from '../data/index.ts'
import type { Statistics } from '../quantize/statistics.ts'
import type { Watching } from './instrument.ts'
import type { Channels } from './observers/channels.ts'
import type { Histogram } from './observers/histogram.ts'
import type { HeadRows } from './observers/logsumexp.ts'
import type { Moments } from './observers/moments.ts'
import type { Ranges } from './observers/ranges.ts'
import { valueStatistics } from './statistics.ts'

/** What was seen of one value. */
export interface ValueState {
  readonly ranges: Ranges
  /** Samples in which an element was infinite or NaN; nothing else here counts them. */
  readonly notFinite: number
  readonly channels?: Channels | undefined
  readonly histogram?: Histogram | undefined
  readonly moments?: Moments | undefined
}

/** Which attention rows are of. */
export interface SiteName {
  /** `''` for the main graph, else the path of the nested graph or function. */
  readonly graph: string
  /** The name of the probabilities, or of what a fused operator gives: with the graph, the identity of a site. */
  readonly output: string
  /** The calls that lead to the function it is in, the outermost first; `''` outside of functions. */
  readonly call: string
}

/** What was seen of the rows of one attention. */
export interface SiteState extends SiteName {
  readonly node: string
  /** Undefined where they are not known: then all rows are of one. */
  readonly heads: Heads | undefined
  /** Of every head. */
  readonly logsumexp: readonly HeadRows[]
  /** Why no rows could be seen: goes on a sentence that begins with the name of the site. */
  readonly unobserved?: string | undefined
}

/** What was seen in some samples. */
export interface Sight {
  /** Indexes of the samples that were seen. */
  readonly samples: readonly number[]
  readonly skipped: readonly SkippedSample[]
  readonly values: ReadonlyMap<string, ValueState>
  readonly sites: readonly SiteState[]
}

/** What a table is of. */
export interface TableHead {
  /** Of the model it was made with: {@link fingerprintOf}. */
  readonly fingerprint: string
  readonly data: DataManifest
  readonly watching: Watching
}

/** What was observed of a model on data, by value name: all that is needed to change method or bits without running again. */
export class CalibrationTable implements TableHead, Sight {
  readonly fingerprint: string
  readonly data: DataManifest
  readonly watching: Watching
  /** Rising. */
  readonly samples: readonly number[]
  readonly skipped: readonly SkippedSample[]
  readonly values: ReadonlyMap<string, ValueState>
  readonly sites: readonly SiteState[]

  constructor(head: TableHead, sight: Sight) {
    this.fingerprint = head.fingerprint
    this.data = head.data
    this.watching = head.watching
    this.samples = sight.samples
    this.skipped = sight.skipped
    this.values = sight.values
    this.sites = sight.sites
  }

  /** As the quantizer asks; undefined also for a value that was never finite. */
  readonly statistics: Statistics = (name) => {
    const state = this.values.get(name)
    return state === undefined || state.ranges.samples.length === 0 ? undefined : valueStatistics(name, state)
  }

  /** How many samples the data, or the shard of it, has; those that were skipped count. */
  get wanted(): number {
    return wantedOf(this.data)
  }

  /** Whether the data was gone through to its end. */
  get isComplete(): boolean {
    return this.samples.length + this.skipped.length >= this.wanted
  }
}

function wantedOf({ selection: { samples, shard } }: DataManifest): number {
  if (shard === null) return samples
  const edge = (i: number) => Math.floor((i * samples) / shard.count)
  return edge(shard.index) - edge(shard.index - 1)
}
