import { readFileSync } from 'node:fs'
import { inflateRawSync } from 'node:zlib'

/** One array of an npz file. `data` is the typed array onnxruntime-node takes for that type. */
export interface NpyArray {
  readonly type: 'float32' | 'float64' | 'int64' | 'int32' | 'bool' | 'float16' | 'uint8' | 'int8'
  readonly dims: readonly number[]
  readonly data: Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array | Uint16Array | Int8Array
}

/** Reads a numpy `.npz` (stored or deflated members, little-endian, C order). */
export function readNpz(path: string): Map<string, NpyArray> {
  const zip = readFileSync(path)
  const arrays = new Map<string, NpyArray>()
  const end = zip.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]))
  let at = zip.readUInt32LE(end + 16)
  for (let n = zip.readUInt16LE(end + 10); n > 0; n--) {
    const [method, packed, nameLength, extra, comment, local] = [
      zip.readUInt16LE(at + 10),
      zip.readUInt32LE(at + 20),
      zip.readUInt16LE(at + 28),
      zip.readUInt16LE(at + 30),
      zip.readUInt16LE(at + 32),
      zip.readUInt32LE(at + 42),
    ]
    const name = zip.toString('utf8', at + 46, at + 46 + nameLength)
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28)
    const raw = zip.subarray(start, start + packed)
    arrays.set(name.replace(/\.npy$/, ''), parseNpy(method === 0 ? raw : inflateRawSync(raw)))
    at += 46 + nameLength + extra + comment
  }
  return arrays
}

const types = {
  '<f4': ['float32', Float32Array],
  '<f8': ['float64', Float64Array],
  '<f2': ['float16', Uint16Array],
  '<i8': ['int64', BigInt64Array],
  '<i4': ['int32', Int32Array],
  '|b1': ['bool', Uint8Array],
  '|u1': ['uint8', Uint8Array],
  '|i1': ['int8', Int8Array],
} as const

function parseNpy(bytes: Buffer): NpyArray {
  const major = bytes[6]
  const length = major === 1 ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8)
  const start = (major === 1 ? 10 : 12) + length
  const header = bytes.toString('latin1', start - length, start)
  const descr = /'descr': *'([^']+)'/.exec(header)?.[1] as keyof typeof types
  const dims = [...(/'shape': *\(([^)]*)\)/.exec(header)?.[1] ?? '').matchAll(/\d+/g)].map(Number)
  if (!(descr in types)) throw new Error(`npy of type ${header}`)
  const [type, View] = types[descr]
  // A copy: the bytes of a member are not aligned.
  const copy = new Uint8Array(bytes.subarray(start))
  const data = new View(copy.buffer)
  return { type, dims, data: header.includes("'fortran_order': True") ? rowMajor(data, dims) : data }
}

/** Column-major elements in row-major order. */
function rowMajor<T extends NpyArray['data']>(data: T, dims: readonly number[]): T {
  const out = data.slice() as T
  const index = dims.map(() => 0)
  for (let i = 0; i < data.length; i++) {
    let at = 0
    for (let d = 0; d < dims.length; d++) at = at * (dims[d] as number) + (index[d] as number)
    out[at] = data[i] as never
    for (let d = 0; d < dims.length; d++) {
      index[d] = (index[d] as number) + 1
      if ((index[d] as number) < (dims[d] as number)) break
      index[d] = 0
    }
  }
  return out
}
