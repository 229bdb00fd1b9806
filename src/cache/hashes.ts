import { basename } from 'node:path'
import type { Model } from '../ir/index.ts'
import { externalFiles, hashFile, modelSize, requireExternalData } from '../onnx/index.ts'

export interface FileHash {
  /** Of the file itself: where it lies makes no difference to what it says. */
  readonly name: string
  readonly sha256: string
}

/**
 * The hashes of every file a model is made of, the model first. Throws as reading external data does where it is missing,
 * and `interrupted` when `signal` is aborted.
 */
export async function hashesOf(model: Model, signal?: AbortSignal): Promise<readonly FileHash[]> {
  requireExternalData(model)
  const { path } = modelSize(model)
  const files = [...(path === undefined ? [] : [path]), ...externalFiles(model)]
  return Promise.all(files.map((file) => hashOfFile(file, signal)))
}

export async function hashOfFile(path: string, signal?: AbortSignal): Promise<FileHash> {
  return { name: basename(path), sha256: await hashFile(path, { signal }) }
}
