import { createHash } from 'node:crypto'
import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { checkOptions, oneOf, optionKinds, requireText } from '../check-options.ts'
import { interrupted, outputIsInput, outputTooLarge } from '../errors.ts'
import type { Model } from '../ir/index.ts'
import type { Piece, Source } from '../wire/index.ts'
import { emit, FileSink, MemorySink, totalSize } from '../wire/index.ts'
import type { Document } from './document.ts'
import { documentOf } from './document.ts'
import type { ExternalData } from './external-modes.ts'
import { externalDataModes } from './external-modes.ts'
import { requireModel } from './require-model.ts'
import { modelPieces } from './write/model.ts'
import { planSave } from './write/plan.ts'
import { ownData, removeStale } from './write/stale.ts'
import { inPlace } from './write/storage.ts'
import { checkPlace, TemporaryFile } from './write/temporary.ts'

export interface SaveOptions {
  /** Where weights go. Default `auto`: where they are, unless an edited model would become too large for one file. */
  readonly externalData?: ExternalData | undefined
  /** Replaces a file that is there. */
  readonly overwrite?: boolean | undefined
  /** Computes the sha256 of what is written. */
  readonly hash?: boolean | undefined
  /** Stops the save; nothing is left behind. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number, total: number) => void) | undefined
  /**
   * Looks at the finished model, which is still under a temporary name, with its external data in place. When it throws,
   * nothing is left of the save.
   */
  readonly accept?: ((temporary: string) => Promise<void>) | undefined
}

const saveOptions = {
  externalData: oneOf(externalDataModes),
  overwrite: optionKinds.flag,
  hash: optionKinds.flag,
  signal: optionKinds.signal,
  onProgress: optionKinds.work,
  accept: optionKinds.work,
}

export interface SavedFile {
  readonly path: string
  readonly bytes: number
  /** In hexadecimal; `null` unless it was asked for. */
  readonly sha256: string | null
}

/**
 * Writes a model, and its external data where it has any, and returns the files: the model first.
 *
 * What was not edited is copied byte for byte, a whole unedited model included. Files are written under temporary names
 * and renamed when they are complete, the model last: a crash leaves the old files or the new ones. Throws typed errors
 * of kind `output`; the output may be the file the model was read from. Data files of a model that is replaced go with it,
 * unless somebody else needs them: the new model or one of the files this one is made of.
 */
export async function saveModel(model: Model, path: string, options: SaveOptions = {}): Promise<SavedFile[]> {
  requireModel(model)
  requireText('the path of a model', path)
  checkOptions(options, saveOptions)
  checkPlace(path, options.overwrite ?? false)
  const mode = options.externalData ?? 'auto'
  refuseInputs(documentOf(model), path, mode)
  const plan = planSave(model, path, mode)
  const sources = sourcesOf([...(plan.data?.pieces ?? []), ...plan.model])
  const files: Output[] = []
  try {
    if (plan.data) files.push(outputOf(plan.data.path, plan.data.pieces))
    files.push(outputOf(path, plan.model))
    for (const source of sources) source.check()
    const saved = await write(files, options)
    for (const source of sources) source.check()
    checkPlace(path, options.overwrite ?? false)
    const owned = options.overwrite ? ownData(path) : new Set<string>()
    // Windows does not rename over a file that is open.
    if (process.platform === 'win32') for (const source of sources) source.release()
    await placeAll(
      files.map(({ file }) => file),
      options.accept,
    )
    removeStale(path, owned, inputsOf(model, sources))
    return saved.reverse()
  } finally {
    for (const { file } of files) file.discard()
  }
}

/** The model as bytes in memory. External data stays where it is. Throws when the bytes would pass 2 GiB. */
export function modelToBytes(model: Model): Uint8Array {
  requireModel(model)
  const pieces = modelPieces(model, inPlace)
  const size = totalSize(pieces)
  if (size >= 2 ** 31) throw outputTooLarge(undefined, size)
  const sink = new MemorySink(size)
  for (const _ of emit(pieces, sink));
  return sink.bytes
}

/** The files of external data that a model was read with. */
function dataOf(document: Document | undefined): string[] {
  return [...(document?.locations ?? [])].map((location) => join(document?.home ?? '', location))
}

/** Every file a model is made of. */
function inputsOf(model: Model, sources: ReadonlySet<Source>): string[] {
  const copied = Array.from(sources, ({ path }) => path).filter((path) => path !== undefined)
  return [...dataOf(documentOf(model)), ...copied]
}

/** An output must not take the place of data the model refers to. */
function refuseInputs(document: Document | undefined, path: string, mode: ExternalData): void {
  const { source } = document ?? {}
  const inputs = dataOf(document)
  if (mode === 'link' && source?.path !== undefined) inputs.push(source.path)
  if (inputs.some((input) => isSameFile(input, path))) throw outputIsInput(path)
}

/** Whether two paths name one file, whatever way they are written. A link is not the file it leads to. */
function isSameFile(input: string, output: string): boolean {
  const [a, b] = [input, output].map((path) => lstatSync(path, { bigint: true, throwIfNoEntry: false }))
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino
}

/** The files an output is copied from. */
function sourcesOf(pieces: readonly Piece[], sources = new Set<Source>()): Set<Source> {
  for (const piece of pieces) {
    if (piece.kind === 'range') sources.add(piece.source)
    if (piece.kind === 'group') sourcesOf(piece.pieces, sources)
  }
  return sources
}

interface Output {
  readonly file: TemporaryFile
  readonly pieces: readonly Piece[]
  readonly bytes: number
}

function outputOf(path: string, pieces: readonly Piece[]): Output {
  const bytes = totalSize(pieces)
  return { file: new TemporaryFile(path, bytes), pieces, bytes }
}

/** Puts files in their places, in order; when one cannot be, those before it are taken away again. */
async function placeAll(files: readonly TemporaryFile[], accept: SaveOptions['accept']): Promise<void> {
  try {
    for (const file of files) {
      if (file === files.at(-1)) await accept?.(file.temporary)
      file.place()
    }
  } catch (error) {
    for (const file of files) file.withdraw()
    throw error
  }
}

/** Bytes between two reports of progress. */
const stride = 1 << 25

async function write(outputs: readonly Output[], { hash, signal, onProgress }: SaveOptions): Promise<SavedFile[]> {
  const total = outputs.reduce((sum, { bytes }) => sum + bytes, 0)
  const saved: SavedFile[] = []
  let before = 0
  let next = stride
  for (const { pieces, file, bytes } of outputs) {
    const digest = hash ? createHash('sha256') : undefined
    const sink = new FileSink(file.fd, digest && ((part) => digest.update(part)))
    try {
      for (const done of emit(pieces, sink)) {
        const room = sink.room()
        if (room) await file.written(room)
        if (signal?.aborted) throw interrupted()
        if (before + done < next) continue
        next = before + done + stride
        onProgress?.(before + done, total)
      }
      await file.written(sink.flush())
    } finally {
      await sink.settle()
    }
    file.finish()
    before += bytes
    saved.push({ path: file.path, bytes, sha256: digest?.digest('hex') ?? null })
  }
  if (signal?.aborted) throw interrupted()
  onProgress?.(total, total)
  return saved
}
