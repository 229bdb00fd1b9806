import { open } from 'node:fs/promises'
import { dataDamaged, dataTruncated, dataUnsupported } from '../errors.ts'
import { byteSize, dtypes } from '../ir/index.ts'
import type { StoredArray } from './arrays.ts'
import { arrayReader } from './arrays.ts'
import { fileCursor, readAt } from './cursor.ts'
import type { ModelInput } from './inputs.ts'
import type { Reader } from './reader.ts'

/** Samples from a safetensors file, whose tensors have the names of inputs and samples along their leading axis. */
export async function safetensorsReader(path: string, inputs: readonly ModelInput[]): Promise<Reader> {
  return arrayReader('safetensors', { path, files: [path] }, await openSafetensors(path), inputs)
}

const longestHeader = 100 << 20

/** Eight bytes of length, a JSON header, the data. Source: the format page of the safetensors repository. */
async function openSafetensors(path: string): Promise<StoredArray[]> {
  const handle = await open(path)
  try {
    const { size } = await handle.stat()
    const length = Number(Buffer.from(await readAt(handle, path, 0, 8)).readBigUInt64LE())
    if (length > longestHeader) throw dataDamaged(path, `a header of ${length} bytes is longer than the format allows`)
    const header = parseHeader(Buffer.from(await readAt(handle, path, 8, length)).toString(), path)
    return Object.entries(header)
      .filter(([name]) => name !== '__metadata__')
      .map(([name, entry]) => storedTensor(path, name, entry, { base: 8 + length, size }))
  } finally {
    await handle.close()
  }
}

function parseHeader(text: string, path: string): Record<string, unknown> {
  try {
    const header: unknown = JSON.parse(text)
    if (typeof header === 'object' && header !== null) return header as Record<string, unknown>
  } catch {}
  throw dataDamaged(path, 'its header is not JSON')
}

const types: Readonly<Record<string, number>> = {
  BOOL: dtypes.bool,
  U8: dtypes.uint8,
  I8: dtypes.int8,
  U16: dtypes.uint16,
  I16: dtypes.int16,
  U32: dtypes.uint32,
  I32: dtypes.int32,
  U64: dtypes.uint64,
  I64: dtypes.int64,
  F16: dtypes.float16,
  BF16: dtypes.bfloat16,
  F32: dtypes.float,
  F64: dtypes.double,
}

function storedTensor(path: string, name: string, entry: unknown, file: { base: number; size: number }): StoredArray {
  const { dtype: type, shape, data_offsets: range } = (entry ?? {}) as Record<string, unknown>
  if (!isSizes(shape) || !isSizes(range) || range.length !== 2)
    throw dataDamaged(path, `its header says nothing usable about "${name}"`)
  const dtype = types[String(type)]
  if (dtype === undefined) throw dataUnsupported(path, `tensor "${name}" has type ${String(type)}, which is not read`)
  const [start = 0, end = 0] = range
  const needed = byteSize(
    dtype,
    shape.reduce((product, dim) => product * dim, 1),
  )
  if (end - start !== needed) throw dataDamaged(path, `tensor "${name}" has ${end - start} bytes and needs ${needed}`)
  if (file.base + end > file.size) throw dataTruncated(path, `tensor "${name}" ends behind the end of the file`)
  return { name, dtype, dims: shape, open: () => fileCursor(path, file.base + start) }
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0)
}
