import { existsSync, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { ConvertError, dataEmpty, dataMissing, dataTokenizer, dataUnknown } from '../errors.ts'
import { arrayReader } from './arrays.ts'
import { imageReader, isPicture } from './images.ts'
import type { ModelInput } from './inputs.ts'
import { jsonlRecords, textRecords } from './jsonl.ts'
import { moduleRecords } from './module.ts'
import { openNpy } from './npy.ts'
import { npzReader } from './npz.ts'
import { parquetRecords } from './parquet.ts'
import type { Reader } from './reader.ts'
import { chain } from './reader.ts'
import type { Preparation, Records } from './records.ts'
import { recordReader } from './records.ts'
import { safetensorsReader } from './safetensors.ts'
import type { DataKind, DataOptions } from './source.ts'
import { testDataSetReader } from './test-data-sets.ts'
import { textAsInputs } from './text.ts'
import { valuesAsInputs } from './values.ts'

interface Context {
  readonly inputs: readonly ModelInput[]
  readonly options: DataOptions
  /** Made for the first file of text, and used for the others of its folder. */
  text?: Promise<Preparation>
}

type OpenFile = (path: string, context: Context) => Promise<Reader>

/** One file of each format, by the end of its name. */
const formats: readonly { readonly kind: DataKind; readonly ends: readonly string[]; readonly open: OpenFile }[] = [
  { kind: 'npz', ends: ['.npz'], open: (path, { inputs }) => npzReader(path, inputs) },
  { kind: 'npy', ends: ['.npy'], open: npyFile },
  { kind: 'safetensors', ends: ['.safetensors'], open: (path, { inputs }) => safetensorsReader(path, inputs) },
  { kind: 'jsonl', ends: ['.jsonl', '.ndjson'], open: async (path, c) => prepared(await jsonlRecords(path), c) },
  { kind: 'text', ends: ['.txt'], open: async (path, c) => prepared(await textRecords(path, textField(c)), c) },
  { kind: 'parquet', ends: ['.parquet'], open: async (path, c) => prepared(await parquetRecords(path), c) },
  { kind: 'module', ends: ['.js', '.mjs', '.cjs', '.ts', '.mts'], open: moduleFile },
]

/** Finds out what `spec` is and opens it; nothing but headers, first records and names is read. */
export async function openReader(spec: string, inputs: readonly ModelInput[], options: DataOptions): Promise<Reader> {
  const stat = statSync(spec, { throwIfNoEntry: false })
  if (stat === undefined) throw dataMissing(spec)
  const context = { inputs, options }
  if (stat.isDirectory()) return openFolder(spec, context)
  if (stat.size === 0) throw dataEmpty(spec, 'the file has no bytes')
  if (isPicture(spec)) return images(dirname(spec), [basename(spec)], context)
  const format = formatOf(spec)
  if (format === undefined) throw dataUnknown(spec, `files that end in "${extname(spec)}" are not known`)
  return format.open(spec, context)
}

function formatOf(path: string) {
  return formats.find(({ ends }) => ends.includes(extname(path).toLowerCase()))
}

async function openFolder(folder: string, context: Context): Promise<Reader> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.map(({ name }) => name).filter((name) => !name.startsWith('.'))
  const sets = entries.filter((entry) => entry.isDirectory() && /^test_data_set_\d+$/.test(entry.name))
  if (sets.length > 0) return testDataSetReader(folder, sets.map(({ name }) => name).sort(byNumber), context.inputs)
  if (names.includes('input_0.pb')) return testDataSetReader(folder, ['.'], context.inputs)
  const files = names.filter((name) => formatOf(name) && formatOf(name)?.kind !== 'module').sort(byNumber)
  const kinds = [...new Set(files.map((name) => formatOf(name)?.kind))]
  const pictures = (await readdir(folder, { recursive: true })).filter(isPicture).sort(byNumber)
  if (pictures.length > 0) kinds.push('images')
  if (kinds.length > 1) throw dataUnknown(folder, `it has files of several kinds: ${kinds.join(', ')}`)
  if (pictures.length > 0) return images(folder, pictures, context)
  if (files.length === 0)
    throw dataEmpty(folder, names.length === 0 ? 'the folder is empty' : 'none of its files is in a known format')
  const paths = files.map((name) => join(folder, name))
  return kinds[0] === 'npy' ? npyFolder(folder, paths, context) : openEach(paths, context)
}

/** `x2` before `x10`. */
function byNumber(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true }) || (a < b ? -1 : 1)
}

function images(folder: string, names: readonly string[], { inputs, options }: Context): Promise<Reader> {
  const beside = join(folder, 'preprocessor_config.json')
  const config = options.image?.config ?? (existsSync(beside) ? beside : undefined)
  return imageReader({ folder, names, config }, inputs, options.image)
}

/** The samples of every file in a row. A file that cannot be read counts as one bad sample where those are skipped. */
async function openEach(paths: readonly string[], context: Context): Promise<Reader> {
  const parts: Reader[] = []
  let first: ConvertError | undefined
  for (const path of paths) {
    try {
      parts.push(await (formatOf(path) as { open: OpenFile }).open(path, context))
    } catch (error) {
      if (context.options.onBadSample !== 'skip' || !isOfFile(error)) throw error
      first ??= error
      parts.push(unreadable(path, error))
    }
  }
  if (first !== undefined && parts.every(({ notes }) => notes === ofUnreadable)) throw first
  return chain(parts, parts.find(({ notes }) => notes !== ofUnreadable)?.kind ?? 'npz')
}

const fileFaults = [
  'damaged',
  'truncated',
  'empty',
  'pickle',
  'unsupported',
  'dtype',
  'shape',
  'input-missing',
  'mismatch',
]

/** Whether another file of the folder can be without the fault. */
function isOfFile(error: unknown): error is ConvertError {
  return error instanceof ConvertError && fileFaults.some((fault) => error.code === `data-${fault}`)
}

const ofUnreadable: readonly string[] = []

function unreadable(path: string, { message }: ConvertError): Reader {
  return {
    kind: 'npz',
    count: 1,
    notes: ofUnreadable,
    preparation: {},
    files: () => [path],
    async *read(positions) {
      for (const position of positions) yield { position, id: path, problem: message.replace(/\s*\n\s*/g, '; ') }
    },
  }
}

/** A file by itself is the one input of the model, or the input it is named after. */
async function npyFile(path: string, { inputs }: Context): Promise<Reader> {
  const [only] = inputs
  const name = inputs.length === 1 && only !== undefined ? only.name : basename(path, '.npy')
  return arrayReader('npy', { path, files: [path] }, [await openNpy(path, name)], inputs)
}

/** Files named after inputs are the arrays of one source; others are samples of the one input. */
async function npyFolder(folder: string, paths: readonly string[], context: Context): Promise<Reader> {
  const names = new Set(paths.map((path) => basename(path, '.npy')))
  const { inputs } = context
  if (!inputs.some(({ name }) => names.has(name)) && inputs.length === 1) return openEach(paths, context)
  const arrays = await Promise.all(paths.map((path) => openNpy(path)))
  return arrayReader('npy', { path: folder, files: paths }, arrays, inputs)
}

/** Records with a text go through the tokenizer, others are the inputs themselves. */
async function prepared(records: Records, context: Context): Promise<Reader> {
  const { inputs, options } = context
  const field = textField(context)
  const isText =
    records.kind === 'text' ||
    (typeof records.first?.[field] === 'string' && !inputs.some(({ name }) => name === field))
  if (!isText) return recordReader(records, valuesAsInputs(inputs))
  const beside = join(dirname(records.path), 'tokenizer.json')
  const tokenizer = options.tokenizer ?? (existsSync(beside) ? beside : undefined)
  if (tokenizer === undefined) throw dataTokenizer(records.path)
  context.text ??= textAsInputs(records.path, inputs, { tokenizer, field, maxLength: options.maxLength })
  const preparation = await context.text
  return recordReader(records, { ...preparation, kind: records.kind === 'jsonl' ? 'text' : records.kind })
}

function textField({ options }: Context): string {
  return options.textField ?? 'text'
}

async function moduleFile(path: string, context: Context): Promise<Reader> {
  return prepared(await moduleRecords(path, context.options.signal), context)
}
