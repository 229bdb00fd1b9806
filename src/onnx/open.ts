import { closeSync, openSync, statSync } from 'node:fs'
import { checkOptions, inWords, optionKinds } from '../check-options.ts'
import {
  ConvertError,
  modelEmpty,
  modelIsFolder,
  modelMissing,
  modelNotOnnx,
  modelUnreadable,
  usage,
} from '../errors.ts'
import type { Model } from '../ir/index.ts'
import type { Source } from '../wire/index.ts'
import { Budget, BytesSource, Fields, FileSource, place, wireType } from '../wire/index.ts'
import { Document, documentOf } from './document.ts'
import { kindOfFile } from './kind-of-file.ts'
import { readModel } from './read/model.ts'
import { schema } from './schema.ts'

export interface OpenOptions {
  /** How much structure the file may have: a field is one unit, a value eight, a node sixteen. Default 8 million. */
  readonly budget?: number | undefined
  /** Refuses external data behind symbolic or hard links, which by default may point inside the model's folder. */
  readonly strictLinks?: boolean | undefined
  /** Where external data is, when not beside the model. A model given as bytes has no folder of its own. */
  readonly folder?: string | undefined
}

const openOptions = { budget: optionKinds.positive, strictLinks: optionKinds.flag, folder: optionKinds.text }

/**
 * Opens a model. Only its structure is read; weights are read when they are asked for or saved, so memory does not grow
 * with them. The file stays open until {@link closeModel}.
 *
 * Throws a typed error that names the byte offset when the bytes are not a well-formed model.
 */
export function openModel(input: string | Uint8Array, options: OpenOptions = {}): Model {
  checkOptions(options, openOptions)
  const source = typeof input === 'string' ? openFile(input) : bytesSource(input)
  try {
    if (source.size === 0) throw modelEmpty(source.path)
    return read(source, options)
  } catch (error) {
    source.close()
    throw error
  }
}

/** Closes the files of a model. Its weights and attributes cannot be read any more. */
export function closeModel(model: Model): void {
  documentOf(model)?.close()
}

/** The path or bytes a model was read from, while it is what they say: `undefined` for one edited or built in memory. */
export function originalOf(model: Model): string | Uint8Array | undefined {
  const document = documentOf(model)
  if (document === undefined || model.edited || document.folder !== undefined) return undefined
  const { source } = document
  return source.path ?? (source instanceof BytesSource ? source.window : undefined)
}

/** Where the model was read from and how large that file is; external data is not counted. */
export function modelSize(model: Model): { path?: string; bytes: number } {
  const source = documentOf(model)?.source
  if (!source) return { bytes: 0 }
  return source.path === undefined ? { bytes: source.size } : { path: source.path, bytes: source.size }
}

function bytesSource(bytes: Uint8Array): BytesSource {
  if (bytes instanceof Uint8Array) return new BytesSource(bytes)
  throw usage(
    `a model is a path, the bytes of a file as a Uint8Array, or an opened Model, not ${inWords(bytes)}`,
    'A URL becomes a path with fileURLToPath, an ArrayBuffer bytes with new Uint8Array(buffer).',
  )
}

/** Refuses a path at which there is no file, before any work is done. */
export function checkModelFile(path: string): void {
  const stat = statOf(path)
  if (stat.isDirectory()) throw modelIsFolder(path)
  // A pipe or device would make the open wait, and has no positions to read at.
  if (!stat.isFile()) throw modelUnreadable(path, new Error('it is not a file'))
}

function openFile(path: string): FileSource {
  checkModelFile(path)
  try {
    return fileSource(path)
  } catch (error) {
    throw modelUnreadable(path, error as Error)
  }
}

function statOf(path: string) {
  try {
    return statSync(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    throw code === 'ENOENT' || code === 'ENOTDIR' ? modelMissing(path) : modelUnreadable(path, error as Error)
  }
}

function fileSource(path: string): FileSource {
  const fd = openSync(path, 'r')
  try {
    return new FileSource(path, fd)
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function read(source: Source, options: OpenOptions): Model {
  const budget = new Budget(options.budget ?? 8_000_000)
  let fields: Fields | undefined
  try {
    fields = new Fields(source, 0, source.size, budget)
    if (!has(fields, schema.Model.graph, wireType.bytes)) throw modelNotOnnx('it has no graph', place(source, 0))
    return readModel(new Document(fields, options))
  } catch (error) {
    throw explained(error, source, fields)
  }
}

/** Says what the file is where it is something else than ONNX; a fault inside a model stays what it is. */
function explained(error: unknown, source: Source, fields: Fields | undefined): unknown {
  if (!(error instanceof ConvertError) || (error.code !== 'malformed' && error.code !== 'model-not-onnx')) return error
  const kind = kindOfFile(source)
  if (kind !== undefined) return modelNotOnnx(kind, place(source, 0))
  if (!fields || error.code === 'model-not-onnx') return error
  const version = has(fields, schema.Model.irVersion, wireType.varint)
  return version ? error : modelNotOnnx('it is another kind of protobuf, or damaged', error.at)
}

function has(fields: Fields, number: number, wire: number): boolean {
  for (let i = 0; i < fields.count; i++) if (fields.number(i) === number && fields.wire(i) === wire) return true
  return false
}
