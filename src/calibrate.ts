/** Calibration from files to a file: open model and data, collect, write the table, say what it holds. */
import { existsSync } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'
import type { CalibrationTable, Granularity, Pace } from './calibrate/index.ts'
import { collect, mergeTables, readOwnTable, writeTable } from './calibrate/index.ts'
import { checkOptions } from './check-options.ts'
import type { DataOptions } from './data/index.ts'
import { openData } from './data/index.ts'
import { checkOutput } from './emit/index.ts'
import { calibrationInterrupted, usage } from './errors.ts'
import { closeModel, openModel, requireExternalData } from './onnx/index.ts'
import { calibrateKinds, mergeKinds } from './option-kinds.ts'
import { describeCalibration } from './report/calibration.ts'
import type { CalibrationDocument } from './report/index.ts'
import { describeModel, observedEntry } from './report/index.ts'
import { surroundings } from './surroundings.ts'

export interface CalibrateOptions extends DataOptions {
  /** The data to observe on: what `openData` takes. */
  readonly data?: string | undefined
  /** The table to write. Default: `NAME.calibration.json` beside the model. */
  readonly output?: string | undefined
  readonly overwrite?: boolean | undefined
  /** Goes on with the table that is there already, if any. */
  readonly resume?: boolean | undefined
  /** What ranges can be made of the table: by every method (default), or by the two that need no histogram. */
  readonly method?: 'all' | 'min-max' | 'moving-average' | undefined
  /** Observe every float, not only what meets a weight. */
  readonly all?: boolean | undefined
  /** Observe kurtosis and infinity norm, of each of these. */
  readonly moments?: Granularity | undefined
  /** Put into the report what a page is drawn of: histograms, channels, operators, the environment. */
  readonly observations?: boolean | undefined
  readonly onProgress?: ((pace: Pace) => void) | undefined
}

export interface MergeOptions {
  /** The table to write. */
  readonly output: string
  readonly overwrite?: boolean | undefined
  readonly observations?: boolean | undefined
}

/**
 * Observes a model on data and writes what was seen as a table, which `quantize`, `convert` and `explain` read.
 *
 * Throws a `ConvertError`; `interrupted` when `signal` is aborted, after what was seen until then was written.
 */
export async function calibrate(path: string, options: CalibrateOptions = {}): Promise<CalibrationDocument> {
  checkOptions(options, calibrateKinds)
  const {
    overwrite = false,
    resume = false,
    method = 'all',
    all = false,
    moments,
    observations,
    onBadSample,
    signal,
    onProgress,
  } = options
  const output = options.output ?? join(dirname(path), `${basename(path, extname(path))}.calibration.json`)
  checkOutput(output, path, overwrite || resume)
  const known = resume && existsSync(output) ? readOwnTable(output) : undefined
  const model = openModel(path)
  try {
    requireExternalData(model)
    const data = await openData(options.data, model, options)
    const settings = { histograms: method === 'all', all, moments, onBadSample, signal, onProgress }
    const table = await collect(model, data, { ...settings, resume: known })
    const bytes = writeTable(output, table)
    if (signal?.aborted && !table.isComplete) throw calibrationInterrupted(output, table.samples.length, table.wanted)
    const entry = await describeModel(model, {})
    const document = describeCalibration({ model: entry, path: output, bytes, notes: data.notes }, table)
    if (!observations) return document
    return { ...document, observed: observedEntry(table, model.graph), environment: surroundings() }
  } finally {
    closeModel(model)
  }
}

/**
 * Makes one table of the parts of a selection, as `calibrate` with a `shard` writes them, and writes it.
 *
 * Throws `calibration-unlike` and `calibration-overlap` for parts that do not belong together.
 */
export async function mergeCalibrations(parts: readonly string[], options: MergeOptions): Promise<CalibrationDocument> {
  checkOptions(options, mergeKinds)
  const { output, overwrite = false, observations } = options
  if (output === undefined) throw usage('the table to write is missing', 'Name it with -o TABLE.')
  checkOutput(output, undefined, overwrite)
  const [first, ...rest] = parts.map(readOwnTable)
  if (first === undefined) throw usage('there is nothing to merge', 'outeffhop-convert calibrate merge PART… -o TABLE')
  const table: CalibrationTable = mergeTables([first, ...rest])
  const bytes = writeTable(output, table)
  const document = describeCalibration({ model: null, path: output, bytes, notes: [] }, table)
  return observations ? { ...document, observed: observedEntry(table) } : document
}
