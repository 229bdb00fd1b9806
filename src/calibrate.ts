/** Calibration from files to a file: open model and data, collect, write the table, say what it holds. */
import { existsSync } from 'node:fs'
import type { CalibrationTable, CollectSettings } from './calibrate/index.ts'
import { collect, mergeTables, readOwnTable, writeTable } from './calibrate/index.ts'
import type { DataOptions } from './data/index.ts'
import { openData } from './data/index.ts'
import { checkOutput } from './emit/index.ts'
import { calibrationInterrupted, usage } from './errors.ts'
import { closeModel, openModel, requireExternalData } from './onnx/index.ts'
import { describeCalibration } from './report/calibration.ts'
import type { CalibrationDocument } from './report/index.ts'
import { describeModel, observedEntry } from './report/index.ts'
import { surroundings } from './surroundings.ts'

export interface CalibrateOptions extends DataOptions, Omit<CollectSettings, 'resume'> {
  /** The table to write. */
  readonly output: string
  readonly overwrite?: boolean | undefined
  /** Goes on with the table that is there already, if any. */
  readonly resume?: boolean | undefined
  /** Put into the report what a page is drawn of: histograms, channels, operators, the environment. */
  readonly observations?: boolean | undefined
}

/**
 * Observes a model on the data `spec` names and writes what was seen as a table.
 *
 * Throws a `ConvertError`; `interrupted` when `signal` is aborted, after what was seen until then was written.
 */
export async function calibrate(
  path: string,
  spec: string | undefined,
  options: CalibrateOptions,
): Promise<CalibrationDocument> {
  const { output, overwrite = false, resume = false, observations, ...settings } = options
  checkOutput(output, path, overwrite || resume)
  const known = resume && existsSync(output) ? readOwnTable(output) : undefined
  const model = openModel(path)
  try {
    requireExternalData(model)
    const data = await openData(spec, model, options)
    const table = await collect(model, data, { ...settings, resume: known })
    const bytes = writeTable(output, table)
    if (options.signal?.aborted && !table.isComplete)
      throw calibrationInterrupted(output, table.samples.length, table.wanted)
    const entry = await describeModel(model, {})
    const document = describeCalibration({ model: entry, path: output, bytes, notes: data.notes }, table)
    if (!observations) return document
    return { ...document, observed: observedEntry(table, model.graph), environment: surroundings() }
  } finally {
    closeModel(model)
  }
}

/** Makes one table of the parts of a selection, and writes it. */
export function mergeCalibrations(
  parts: readonly string[],
  { output, overwrite = false, observations }: Pick<CalibrateOptions, 'output' | 'overwrite' | 'observations'>,
): CalibrationDocument {
  checkOutput(output, undefined, overwrite)
  const [first, ...rest] = parts.map(readOwnTable)
  if (first === undefined) throw usage('there is nothing to merge', 'outeffhop-convert calibrate merge PART… -o TABLE')
  const table: CalibrationTable = mergeTables([first, ...rest])
  const bytes = writeTable(output, table)
  const document = describeCalibration({ model: null, path: output, bytes, notes: [] }, table)
  return observations ? { ...document, observed: observedEntry(table) } : document
}
