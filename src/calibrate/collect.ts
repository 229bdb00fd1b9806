import type { DataSource, SkippedSample } from '../data/source.ts'
import { ConvertError, calibrationNotFinite } from '../errors.ts'
import type { Model } from '../ir/index.ts'
import type { SessionOptions } from '../runtime/index.ts'
import { fingerprintOf } from './fingerprint.ts'
import type { Instrumentation, Watching } from './instrument.ts'
import { instrument } from './instrument.ts'
import { checkAlike } from './merge.ts'
import type { Reduced } from './observe.ts'
import { observe } from './observe.ts'
import { wanted, withSession } from './run-over.ts'
import type { TableParts } from './table.ts'
import { CalibrationTable, mergeStates } from './table.ts'
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
  const { all = false, histograms = true, moments } = settings
  const watching: Watching = { all, histograms, moments }
  const fingerprint = fingerprintOf(model)
  const start: TableParts = {
    fingerprint,
    data: data.manifest,
    watching,
    samples: [],
    skipped: [],
    values: new Map(),
    sites: [],
  }
  const { resume } = settings
  if (resume !== undefined) checkAlike(resume, start)
  return withCopy(model, async (copy) => {
    const watched = instrument(copy, watching)
    return run(copy, data, watched, resume ?? new CalibrationTable(start), settings)
  })
}

async function run(
  model: Model,
  data: DataSource,
  watched: Instrumentation,
  start: CalibrationTable,
  settings: CollectSettings,
): Promise<CalibrationTable> {
  const { signal, onProgress } = settings
  const reducer = new URL('./elements.js', import.meta.url)
  const known = new Set([...start.samples, ...start.skipped.map(({ index }) => index)])
  let table: TableParts = start
  try {
    await withSession(model, { ...settings.session, reducer, ...(signal && { signal }) }, async (session) => {
      for await (const { index, id, feeds } of data.samples()) {
        if (known.has(index)) continue
        if (signal?.aborted) break
        const reduced = (await session.reduce(wanted(session, feeds), watched.fetches, watched.plan)) as Reduced
        const seen = observe(index, reduced, watched)
        const bad = seen.spoiled === undefined ? undefined : calibrationNotFinite(seen.spoiled, id)
        if (bad && settings.onBadSample !== 'skip') throw bad
        const skipped: SkippedSample[] = bad ? [{ id, index, reason: bad.message }] : []
        const part = bad ? { samples: [], values: new Map(), sites: [] } : seen
        table = { ...table, ...mergeStates(table, { ...table, ...part, skipped }) }
        const done = table.samples.length + table.skipped.length
        onProgress?.({ done, total: start.wanted, now: done - known.size, memory: reduced.memory })
      }
    })
  } catch (error) {
    if (!(signal?.aborted && error instanceof ConvertError && error.kind === 'interrupted')) throw error
  }
  const skipped = data.skipped.filter(({ index }) => !table.skipped.some((other) => other.index === index))
  return new CalibrationTable({
    ...table,
    skipped: [...table.skipped, ...skipped].sort((a, b) => a.index - b.index),
  })
}
