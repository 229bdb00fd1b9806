import { closeSync, openSync, renameSync, rmSync } from 'node:fs'
import type { Model } from '../ir/index.ts'
import { emit, FileSink, MemorySink, totalSize } from '../wire/index.ts'
import { modelPieces } from './write/model.ts'
import { inPlace } from './write/storage.ts'

export interface SaveOptions {
  readonly externalData?: 'auto' | 'always' | 'never' | 'link'
  readonly overwrite?: boolean
  readonly hash?: boolean
  readonly signal?: AbortSignal
  readonly onProgress?: (done: number, total: number) => void
}

export interface SavedFile {
  readonly path: string
  readonly bytes: number
  readonly sha256: string | null
}

/** The model as bytes in memory. */
export function modelToBytes(model: Model): Uint8Array {
  const pieces = modelPieces(model, inPlace)
  const sink = new MemorySink(totalSize(pieces))
  for (const _ of emit(pieces, sink));
  return sink.bytes
}

export async function saveModel(model: Model, path: string, _options: SaveOptions = {}): Promise<SavedFile[]> {
  const pieces = modelPieces(model, inPlace)
  const temporary = `${path}.tmp`
  const fd = openSync(temporary, 'w')
  try {
    const sink = new FileSink(fd)
    for (const _ of emit(pieces, sink));
    sink.flush()
    closeSync(fd)
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  return [{ path, bytes: totalSize(pieces), sha256: null }]
}
