import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { dtypes, Tensor } from '../../src/ir/index.ts'
import type { Feeds } from '../../src/runtime/index.ts'
import { readNpz } from './npz.ts'

/** Folders of exported models with inputs: the committed ones, and the zoo where there is one. */
export const exportFolders = ['fixtures/models/exports', process.env.OUTEFFHOP_ZOO ?? '../shared/zoo']

/** Every export that is there, once, by its name and path. */
export function labelledExports(): [name: string, path: string][] {
  const found = new Map<string, string>()
  for (const folder of exportFolders) {
    if (!existsSync(folder)) {
      console.log(`skipped: exports in ${folder}, which is not there`)
      continue
    }
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.onnx'))) {
      const name = file.slice(0, -'.onnx'.length)
      if (!found.has(name)) found.set(name, join(folder, file))
    }
  }
  return [...found]
}

const types = {
  ...{ float32: dtypes.float, float64: dtypes.double, float16: dtypes.float16, bool: dtypes.bool },
  ...{ int64: dtypes.int64, int32: dtypes.int32, uint8: dtypes.uint8, int8: dtypes.int8 },
}

/** The inputs that were recorded with an export. */
export function inputsOfExport(path: string): Feeds {
  const arrays = [...readNpz(path.replace(/\.onnx$/, '.npz'))]
  return Object.fromEntries(
    arrays.flatMap(([name, { type, dims, data }]) => {
      if (!name.startsWith('in.')) return []
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      const payload = { byteLength: bytes.length, read: (at: number, n: number) => bytes.slice(at, at + n) }
      return [[name.slice('in.'.length), new Tensor({ dtype: types[type], dims, payload })]]
    }),
  )
}
