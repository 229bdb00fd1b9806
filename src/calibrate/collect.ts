import type { DataSource } from '../data/index.ts'
import { ConvertError, calibrationNotFinite } from '../errors.ts'
import type { Model } from '../ir/index.ts'
import type { SessionOptions } from '../runtime/index.ts'
import { feedsFor } from '../runtime/index.ts'
import { fingerprintOf } from './fingerprint.ts'
import type { Instrumentation, Watching } from './instrument.ts'
import { instrument } from './instrument.ts'
import { checkAlike, indexesOf } from './merge.ts'
import type { Reduced } from './observe.ts'
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
 * Nested graphs and function bodies are not observed. Throws `calibration-not-finite`, and for a table to go on with
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
  const known = new Set(resume && indexesOf(resume))
  try {
    await withCopy(model, async (copy) => run(copy, data, instrument(copy, head.watching), { sum, known, settings }))
  } catch (error) {
    if (!(settings.signal?.aborted && error instanceof ConvertError && error.kind === 'interrupted')) throw error
  }
  const skipped = data.skipped.filter(({ index }) => !sum.skipped.some((other) => other.index === index))
  sum.add({ samples: [], skipped, values: new Map(), sites: [] })
  return new CalibrationTable(head, sum)
}

interface Collection {
  readonly sum: SightSum
  /** Samples that need not be run. */
  readonly known: ReadonlySet<number>
  readonly settings: CollectSettings
}

async function run(model: Model, data: DataSource, watched: Instrumentation, collection: Collection): Promise<void> {
  const { sum, known, settings } = collection
  const { signal, onProgress } = settings
  const reducer = new URL('./elements.js', import.meta.url)
  await withSession(model, { ...settings.session, reducer, ...(signal && { signal }) }, async (session) => {
    for await (const { index, id, feeds } of data.samples()) {
      if (known.has(index)) continue
      const reduced = (await session.reduce(feedsFor(session, feeds), watched.fetches, watched.plan)) as Reduced
      const { spoiled, ...seen } = observe(index, reduced, watched)
      if (spoiled === undefined) sum.add(seen)
      else {
        const bad = calibrationNotFinite(spoiled, id)
        if (settings.onBadSample !== 'skip') throw bad
        sum.add({ samples: [], skipped: [{ id, index, reason: bad.message }], values: new Map(), sites: [] })
      }
      const done = sum.samples.length + sum.skipped.length
      onProgress?.({ done, total: data.size, now: done - known.size, memory: reduced.memory })
    }
  })
}
