import type { Model } from '../ir/index.ts'
import { Budget, BytesSource, Fields, FileSource } from '../wire/index.ts'
import { Document, documentOf } from './document.ts'
import { readModel } from './read/model.ts'

export interface OpenOptions {
  /** How much structure the file may have: a field is one unit, a node sixteen. Default 8 million. */
  readonly budget?: number
  /** Refuses external data behind symbolic or hard links, which by default may point inside the model's folder. */
  readonly strictLinks?: boolean
}

/**
 * Opens a model. Only its structure is read; weights are read when they are asked for or saved, so memory does not grow
 * with them. The file stays open until {@link closeModel}.
 */
export function openModel(input: string | Uint8Array, options: OpenOptions = {}): Model {
  const source = typeof input === 'string' ? FileSource.open(input) : new BytesSource(input)
  try {
    const budget = new Budget(options.budget ?? 8_000_000)
    return readModel(new Document(source, budget, new Fields(source, 0, source.size, budget)))
  } catch (error) {
    source.close()
    throw error
  }
}

/** Closes the files of a model. Its tensors cannot be read any more. */
export function closeModel(model: Model): void {
  documentOf(model)?.source.close()
}

/** Where the model was read from and how large it is; external data is not counted. */
export function modelSize(model: Model): { path?: string; bytes: number } {
  const source = documentOf(model)?.source
  if (!source) return { bytes: 0 }
  return source.path === undefined ? { bytes: source.size } : { path: source.path, bytes: source.size }
}
