import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { basename, relative, sep } from 'node:path'
import { interrupted } from '../errors.ts'
import { hashFile } from '../onnx/index.ts'
import type { DataFile, DataManifest } from './source.ts'

/** Name, size and hash of files. Names are relative to `folder`; a file elsewhere has its bare name. */
export async function describeFiles(
  paths: readonly string[],
  folder: string | undefined,
  signal?: AbortSignal,
): Promise<DataFile[]> {
  const files: DataFile[] = []
  for (const path of paths) {
    const sha256 = await hashFile(path, { signal }).catch((error: unknown) => {
      throw signal?.aborted ? interrupted() : error
    })
    files.push({ name: nameIn(folder, path), bytes: (await stat(path)).size, sha256 })
  }
  return files
}

/** The manifest with its hash, which leaves the shard out. */
export function sealed(manifest: Omit<DataManifest, 'hash'>): DataManifest {
  const { selection, ...rest } = manifest
  const same = { ...rest, selection: { ...selection, shard: null } }
  return { ...manifest, hash: createHash('sha256').update(JSON.stringify(same)).digest('hex') }
}

function nameIn(folder: string | undefined, path: string): string {
  const name = folder === undefined ? basename(path) : relative(folder, path)
  return name.startsWith('..') ? basename(path) : name.split(sep).join('/')
}
