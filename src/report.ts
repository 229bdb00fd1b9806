/** What is known of a model on one page: documents, calibration tables and models put together. */
import { closeSync, mkdirSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import { dirname, extname, join, resolve } from 'node:path'
import { CalibrationTable, checkBelongs, readTable } from './calibrate/index.ts'
import { checkOptions, optionKinds } from './check-options.ts'
import { checkOutput } from './emit/index.ts'
import { reportMalformed, usage } from './errors.ts'
import { explain } from './explain.ts'
import { inspect } from './inspect.ts'
import type { Model } from './ir/index.ts'
import { checkFolder, checkModelFile, closeModel, openModel, placeText } from './onnx/index.ts'
import { describeCalibration } from './report/calibration.ts'
import type { ModelReport, SourceDocument } from './report/index.ts'
import { gatherReport, observedEntry, overlays, schema, sourceCommands } from './report/index.ts'
import { surroundings } from './surroundings.ts'

/** A path of a model, a table or a document of `--json`; or such a document. */
export type ReportInput = string | SourceDocument | ModelReport

export interface ReportOptions {
  /** Files to write: the page, or where a name ends in `.json` the report itself. */
  readonly output?: string | readonly string[] | undefined
  /** A folder for the numbers of nodes as Model Explorer lays them over a graph, a file each; made where it is missing. */
  readonly modelExplorer?: string | undefined
  readonly overwrite?: boolean | undefined
}

/**
 * Puts together what is known of one model: of two models or tables, the first is the model before and the second what
 * became of it. A report that was made before stands alone and is drawn as it is.
 *
 * Throws `usage`, `report-malformed` for a file that is none of these, and as reading models and tables does.
 */
export async function report(
  inputs: ReportInput | readonly ReportInput[],
  options: ReportOptions = {},
): Promise<ModelReport> {
  checkOptions(options, { output: optionKinds.names, modelExplorer: optionKinds.text, overwrite: optionKinds.flag })
  checkReports(options)
  const given = Array.isArray(inputs) ? (inputs as readonly ReportInput[]) : [inputs as ReportInput]
  if (given.length === 0) throw usage('there is nothing to report', 'Name a model, a table or a document of --json.')
  try {
    const made = await reportOf(given)
    await writeReport(made, options)
    return made
  } catch (error) {
    const path = given.find((input) => typeof input === 'string')
    if (error instanceof TypeError && path !== undefined) throw reportMalformed(path, 'fields are missing')
    throw error
  }
}

/** Throws where a report could not be written, before any work is done. */
export function checkReports({ output, modelExplorer, overwrite = false }: ReportOptions): void {
  for (const path of pathsOf(output)) checkOutput(path, undefined, overwrite)
  if (modelExplorer !== undefined) checkFolder(dirname(resolve(modelExplorer)))
}

/** Writes a report: as a page, as it is, or as an overlay. */
async function writeReport(made: ModelReport, { output, modelExplorer }: ReportOptions): Promise<void> {
  for (const path of pathsOf(output)) {
    if (extname(path) === '.json') placeText(path, `${JSON.stringify(made, null, 2)}\n`)
    else placeText(path, (await import('./report/html/page.ts')).renderPage(made))
  }
  if (modelExplorer === undefined) return
  mkdirSync(modelExplorer, { recursive: true })
  for (const [name, overlay] of overlays(made))
    placeText(join(modelExplorer, `${name}.json`), `${JSON.stringify(overlay, null, 2)}\n`)
}

function pathsOf(paths: string | readonly string[] | undefined): readonly string[] {
  return paths === undefined ? [] : typeof paths === 'string' ? [paths] : paths
}

async function reportOf(inputs: readonly ReportInput[]): Promise<ModelReport> {
  const parts = inputs.map((input) =>
    typeof input === 'string' ? readInput(input) : ({ kind: 'document', document: input } as const),
  )
  const documents = parts.flatMap((part) => (part.kind === 'document' ? [part.document] : []))
  const whole = documents.find((document): document is ModelReport => document.command === 'report')
  if (whole && parts.length === 1) return whole
  if (whole) throw usage('a report stands alone', 'Put the documents together that it was made of.')
  const models = parts.flatMap((part) => (part.kind === 'model' ? [part.path] : []))
  const tables = parts.flatMap((part) => (part.kind === 'table' ? [part] : []))
  return gatherReport([
    ...(documents as readonly SourceDocument[]),
    ...(await looksAt(models)),
    ...seen(tables, models),
  ])
}

type Part =
  | { readonly kind: 'document'; readonly document: SourceDocument | ModelReport }
  | { readonly kind: 'model'; readonly path: string }
  | TablePart

interface TablePart {
  readonly kind: 'table'
  readonly table: CalibrationTable
  readonly path: string
}

/** What the models themselves say: the verdicts of the first, the operators of all. */
async function looksAt(models: readonly string[]): Promise<readonly SourceDocument[]> {
  const [first] = models
  if (first === undefined) return []
  const verdicts = { ...(await explain(first)), environment: surroundings() }
  return [verdicts, ...(await Promise.all(models.map((model) => inspect(model))))]
}

/** What tables say; a table has to be of the model at its side. */
function seen(tables: readonly TablePart[], models: readonly string[]): readonly SourceDocument[] {
  return tables.map(({ table, path }, i) =>
    withModel(models[i], (model) => {
      if (model) checkBelongs(table, model, path)
      const { size: bytes } = statSync(path)
      const document = describeCalibration({ model: null, path, bytes, notes: [] }, table)
      return { ...document, observed: observedEntry(table, model?.graph) }
    }),
  )
}

function withModel<T>(path: string | undefined, use: (model: Model | undefined) => T): T {
  if (path === undefined) return use(undefined)
  const model = openModel(path)
  try {
    return use(model)
  } finally {
    closeModel(model)
  }
}

/** A file by its contents: JSON is a document or a table, anything else a model. */
function readInput(path: string): Part {
  if (!startsAsJson(path)) return { kind: 'model', path }
  const json = parsed(path)
  if (json.format !== undefined) {
    const table = readTable(path)
    if (table instanceof CalibrationTable) return { kind: 'table', table, path }
    throw reportMalformed(path, `it is a table of ${table.source}, which only has ranges`)
  }
  const { command } = json
  if (json.schema !== schema || !sourceCommands.some((name) => name === command))
    throw reportMalformed(path, 'it is no document that a report can be made of')
  return { kind: 'document', document: json as unknown as SourceDocument }
}

/** A model may be large: only its first bytes are read. */
function startsAsJson(path: string): boolean {
  checkModelFile(path)
  const fd = openSync(path, 'r')
  try {
    const head = Buffer.alloc(64)
    return head.toString('utf8', 0, readSync(fd, head)).trimStart().startsWith('{')
  } finally {
    closeSync(fd)
  }
}

function parsed(path: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    throw reportMalformed(path, 'it is broken off or no JSON')
  }
}
