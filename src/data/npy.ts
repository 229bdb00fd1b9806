import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import { dataDamaged, dataPickle, dataTruncated, dataUnsupported } from '../errors.ts'
import { bitsOf, byteSize, dtypes } from '../ir/index.ts'
import type { StoredArray } from './arrays.ts'
import type { Cursor } from './cursor.ts'
import { bytesCursor, fileCursor, readAt } from './cursor.ts'

/** What the header of a `.npy` says. Source: numpy.lib.format, versions 1.0 to 3.0. */
export interface NpyHeader {
  readonly dtype: number
  readonly dims: readonly number[]
  readonly isColumnMajor: boolean
  readonly isBigEndian: boolean
  /** Where the elements start. */
  readonly start: number
}

/** The array of a `.npy` file, under the name of the file. */
export async function openNpy(path: string, name = basename(path, '.npy')): Promise<StoredArray> {
  const handle = await open(path)
  try {
    const { size } = await handle.stat()
    const read = (start: number, length: number) => readAt(handle, path, start, length)
    const header = await readNpyHeader(read, path, name)
    return storedArray(header, { path, name, size }, () => fileCursor(path, header.start))
  } finally {
    await handle.close()
  }
}

/** The array whose elements `cursor` gives as they are in the file of `size` bytes, header included. */
export function storedArray(
  header: NpyHeader,
  { path, name, size }: { path: string; name: string; size: number },
  cursor: () => Promise<Cursor>,
): StoredArray {
  const { dtype, dims, isColumnMajor, isBigEndian, start } = header
  const length = byteSize(dtype, product(dims)) ?? 0
  if (start + length > size)
    throw dataTruncated(path, `array "${name}" needs ${length} bytes and has ${Math.max(0, size - start)}`)
  const width = (bitsOf(dtype) ?? 8) / 8
  const ordered = isBigEndian && width > 1 ? async () => swapped(await cursor(), width) : cursor
  const open = isColumnMajor && dims.length > 1 ? async () => transposed(await ordered(), dims, width) : ordered
  return { name, dtype, dims, open }
}

const magic = '\x93NUMPY'
const longestHeader = 1 << 20

/** Reads a header. Throws `data-pickle` for object arrays, `data-unsupported` for types that no tensor has. */
export async function readNpyHeader(read: Cursor['read'], path: string, name: string): Promise<NpyHeader> {
  const head = Buffer.from(await read(0, 10))
  if (head.toString('latin1', 0, 6) !== magic) throw dataDamaged(path, `"${name}" does not begin like a numpy array`)
  // Versions 2 and 3 have a length of four bytes.
  const isLong = (head[6] as number) > 1
  const rest = isLong ? Buffer.from(await read(10, 2)) : Buffer.alloc(0)
  const length = isLong ? Buffer.concat([head.subarray(8), rest]).readUInt32LE() : head.readUInt16LE(8)
  if (length > longestHeader) throw dataDamaged(path, `the header of "${name}" is ${length} bytes long`)
  const start = (isLong ? 12 : 10) + length
  const text = Buffer.from(await read(start - length, length)).toString('latin1')
  return { ...parseHeader(text, path, name), start }
}

/** A Python literal such as `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`. */
function parseHeader(text: string, path: string, name: string): Omit<NpyHeader, 'start'> {
  const descr = /'descr':\s*(?:'([^']*)'|(\[))/.exec(text)
  const order = /'fortran_order':\s*(True|False)/.exec(text)?.[1]
  const shape = /'shape':\s*\(([\d\s,L]*)\)/.exec(text)?.[1]
  if (!descr || order === undefined || shape === undefined)
    throw dataDamaged(path, `the header of "${name}" is not that of a numpy array`)
  const [, type = '', isStructured] = descr
  if (type.endsWith('O')) throw dataPickle(path, name)
  const dtype = numpyTypes[type.slice(1)]
  if (isStructured !== undefined || dtype === undefined) {
    const what = isStructured === undefined ? `type ${type}` : 'several fields an element'
    throw dataUnsupported(path, `array "${name}" has ${what}, which no tensor has`)
  }
  const dims = [...shape.matchAll(/\d+/g)].map(Number)
  return { dtype, dims, isColumnMajor: order === 'True', isBigEndian: type.startsWith('>') }
}

/** Element types by numpy's kind and width. */
const numpyTypes: Readonly<Record<string, number>> = {
  b1: dtypes.bool,
  i1: dtypes.int8,
  i2: dtypes.int16,
  i4: dtypes.int32,
  i8: dtypes.int64,
  u1: dtypes.uint8,
  u2: dtypes.uint16,
  u4: dtypes.uint32,
  u8: dtypes.uint64,
  f2: dtypes.float16,
  f4: dtypes.float,
  f8: dtypes.double,
  c8: dtypes.complex64,
  c16: dtypes.complex128,
}

function swapped(cursor: Cursor, width: number): Cursor {
  return {
    async read(start, length) {
      const bytes = await cursor.read(start, length)
      for (let at = 0; at < length; at += width) bytes.subarray(at, at + width).reverse()
      return bytes
    },
    close: () => cursor.close(),
  }
}

/** A column-major array in row-major order. A row of it lies scattered over all of the file, so it is read whole. */
async function transposed(cursor: Cursor, dims: readonly number[], width: number): Promise<Cursor> {
  const size = product(dims)
  const from = await cursor.read(0, size * width)
  await cursor.close()
  const to = new Uint8Array(from.length)
  const index = dims.map(() => 0)
  for (let i = 0; i < size; i++) {
    let at = 0
    for (let axis = 0; axis < dims.length; axis++) at = at * (dims[axis] as number) + (index[axis] as number)
    to.set(from.subarray(i * width, (i + 1) * width), at * width)
    for (let axis = 0; axis < dims.length; axis++) {
      index[axis] = (index[axis] as number) + 1
      if ((index[axis] as number) < (dims[axis] as number)) break
      index[axis] = 0
    }
  }
  return bytesCursor(to)
}

function product(dims: readonly number[]): number {
  return dims.reduce((size, dim) => size * dim, 1)
}
