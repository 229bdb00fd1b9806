import type { DataSource, Sample } from '../data/index.ts'
import { ConvertError, calibrationNotFinite } from '../errors.ts'
import type { Model } from '../ir/index.ts'
import type { SessionOptions } from '../runtime/index.ts'
import { feedsFor } from '../runtime/index.ts'
import { fingerprintOf } from './fingerprint.ts'
import type { Group } from './groups.ts'
import { groupsOf, largestOf, together } from './groups.ts'
import type { Watching } from './instrument.ts'
import { instrument } from './instrument.ts'
import { checkAlike, indexesOf } from './merge.ts'
import type { Observation, Reduced } from './observe.ts'
import { observe } from './observe.ts'
import { withSession } from './run-over.ts'
import { SightSum } from './sight-sum.ts'
import type { TableHead } from './table.ts'
import { CalibrationTable } from './table.ts'
import { withCopy } from './temporary-model.ts'

export interface CollectSettings extends Partial<Watching> {
  /** Goes on with this table: what it has seen is not run again. */
  readonly resume?: CalibrationTable | undefined
  /** What becomes of a sample on which a weight meets infinity or NaN. Default `stop`. */
  readonly onBadSample?: 'skip' | 'stop' | undefined
  readonly session?: Omit<SessionOptions, 'signal' | 'reducer'> | undefined
  /**
   * Bytes of elements, for histograms and moments, that may be in memory together. Where those of a sample take more, it is
   * run several times. Default 512 MiB.
   */
  readonly budget?: number | undefined
  /** Ends the work early: what was seen until then is in the table. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((pace: Pace) => void) | undefined
}

/** How far the work is. */
export interface Pace {
  /** Samples that were seen or skipped, earlier runs included. */
  readonly done: number
  readonly total: number
  /** Of them, samples this run has seen. */
  readonly now: number
  /** Resident bytes of the process of the runtime. */
  readonly memory: number
}

/**
 * Runs a copy of the model that observes itself over data, one sample after the other, and keeps what quantization and
 * sinks can need; no activation leaves the process it was made in. The model is not changed.
 *
 * Of nested graphs and function bodies only attention is observed. Throws `calibration-not-finite`, and for a table to go on with
 * `calibration-stale` and `calibration-unlike`.
 */
export async function collect(
  model: Model,
  data: DataSource,
  settings: CollectSettings = {},
): Promise<CalibrationTable> {
  const { all = false, histograms = true, moments, resume } = settings
  const head: TableHead = {
    fingerprint: fingerprintOf(model),
    data: data.manifest,
    watching: { all, histograms, moments },
  }
  if (resume !== undefined) checkAlike(resume, head)
  const sum = new SightSum()
  if (resume !== undefined) sum.add(resume)
  try {
    await new Collection(model, head, data, sum, settings).run()
  } catch (error) {
    if (!(settings.signal?.aborted && error instanceof ConvertError && error.kind === 'interrupted')) throw error
  }
  const skipped = data.skipped.filter(({ index }) => !sum.skipped.some((other) => other.index === index))
  sum.add({ samples: [], skipped, values: new Map(), sites: [] })
  return new CalibrationTable(head, sum)
}

/** Bytes of elements that are in memory together, unless they are of one value. */
const defaultBudget = 1 << 29

/** Samples that are run for one part of the values before the next part has its turn. */
const queueLength = 16

/** Runs samples so that what leaves the graph at once stays within a budget, by the sizes that were seen. */
class Collection {
  readonly #model: Model
  readonly #head: TableHead
  readonly #data: DataSource
  readonly #sum: SightSum
  readonly #settings: CollectSettings
  /** Samples that were there before. */
  readonly #known: ReadonlySet<number>
  /** The most that the elements of each value took. */
  #bytes: ReadonlyMap<string, number> = new Map()
  #memory = 0

  constructor(model: Model, head: TableHead, data: DataSource, sum: SightSum, settings: CollectSettings) {
    this.#model = model
    this.#head = head
    this.#data = data
    this.#sum = sum
    this.#settings = settings
    this.#known = new Set(settings.resume && indexesOf(settings.resume))
  }

  async run(): Promise<void> {
    const samples = this.#unseen()
    try {
      let next = await samples.next()
      if (next.done) return
      const { watching } = this.#head
      if (watching.histograms || watching.moments !== undefined) await this.#probe(next.value)
      if (this.#groups.length === 1) next = await this.#whole(samples, next.value)
      while (!next.done) next = await this.#parts(samples, next.value)
    } finally {
      await samples.return(undefined)
    }
  }

  get #groups(): readonly Group[] {
    return groupsOf(this.#bytes, this.#settings.budget ?? defaultBudget)
  }

  async *#unseen(): AsyncGenerator<Sample, undefined> {
    for await (const sample of this.#data.samples()) if (!this.#known.has(sample.index)) yield sample
  }

  /** Finds out what elements take, by a run that keeps them in the graph. */
  #probe(sample: Sample): Promise<void> {
    return this.#within(new Set(), async (look) => {
      this.#bytes = (await look(sample)).bytes
    })
  }

  /** Runs samples once each, until there is none, or one that is too large; gives the one after it. */
  #whole(samples: AsyncGenerator<Sample, undefined>, first: Sample): Promise<IteratorResult<Sample, undefined>> {
    return this.#within(undefined, async (look) => {
      let next: IteratorResult<Sample, undefined> = { done: false, value: first }
      while (!next.done && this.#groups.length === 1) {
        const seen = await look(next.value)
        this.#bytes = largestOf(this.#bytes, seen.bytes)
        this.#add(next.value, seen)
        next = await samples.next()
      }
      return next
    })
  }

  /** Runs some samples once for each group of values; gives the sample after them. */
  async #parts(samples: AsyncGenerator<Sample, undefined>, first: Sample): Promise<IteratorResult<Sample, undefined>> {
    const queue = [first]
    let next = await samples.next()
    for (; !next.done && queue.length < queueLength; next = await samples.next()) queue.push(next.value)
    const parts = queue.map((): Observation[] => [])
    let bytes = this.#bytes
    for (const group of this.#groups) {
      await this.#within(group, async (look) => {
        for (const [i, sample] of queue.entries()) {
          const seen = await look(sample)
          parts[i]?.push(seen)
          bytes = largestOf(bytes, seen.bytes)
        }
      })
    }
    this.#bytes = bytes
    for (const [i, sample] of queue.entries()) this.#add(sample, together(parts[i] as Observation[]))
    return next
  }

  /** Gives `use` a look at samples, by a copy of the model that lets the elements of a group out. */
  #within<T>(only: Group | undefined, use: (look: Look) => Promise<T>): Promise<T> {
    const { signal, session: options } = this.#settings
    const reducer = new URL('./elements.js', import.meta.url)
    return withCopy(this.#model, async (copy) => {
      const watched = instrument(copy, this.#head.watching, only)
      return withSession(copy, { ...options, reducer, ...(signal && { signal }) }, (session) =>
        use(async ({ index, feeds }) => {
          // A model without anything to observe is not asked for anything.
          const reduced =
            watched.fetches.length === 0
              ? nothing
              : ((await session.reduce(feedsFor(session, feeds), watched.fetches, watched.plan)) as Reduced)
          this.#memory = reduced.memory
          return observe(index, reduced, watched)
        }),
      )
    })
  }

  #add({ id, index }: Sample, { spoiled, ...seen }: Observation): void {
    const { onBadSample, onProgress } = this.#settings
    if (spoiled === undefined) this.#sum.add(seen)
    else {
      const bad = calibrationNotFinite(spoiled, id)
      if (onBadSample !== 'skip') throw bad
      this.#sum.add({ samples: [], skipped: [{ id, index, reason: bad.message }], values: new Map(), sites: [] })
    }
    const done = this.#sum.samples.length + this.#sum.skipped.length
    onProgress?.({ done, total: this.#data.size, now: done - this.#known.size, memory: this.#memory })
  }
}

const nothing: Reduced = { vector: new Float32Array(0), histograms: [], moments: [], memory: 0 }

type Look = (sample: Sample) => Promise<Observation>
