import { bug } from '../errors.ts'
import type { DType } from './dtype.ts'
import { byteSize, dtypeName } from './dtype.ts'
import { float8ToNumber, numberToFloat8 } from './float8.ts'

/**
 * Elements in the raw little-endian layout as numbers. Sub-byte types, and those of 8-bit floats except float8e4m3fn, are not
 * numbers here and throw.
 */
export function elementsFromBytes(dtype: DType, raw: Uint8Array, count: number): number[] {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
  const read = readers[dtypeName(dtype) ?? '']
  if (read === undefined) throw bug(`elements of type ${dtypeName(dtype) ?? dtype} cannot be read as numbers`)
  return Array.from({ length: count }, (_, i) => read(view, i))
}

/** Numbers in the raw little-endian layout of `dtype`; floats are rounded to nearest even. */
export function elementsToBytes(dtype: DType, values: ArrayLike<number | bigint>): Uint8Array {
  const name = dtypeName(dtype) ?? ''
  const write = writers[name]
  const size = byteSize(dtype, values.length)
  if (write === undefined || size === undefined) throw bug(`elements of type ${name || dtype} cannot be written`)
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < values.length; i++) write(view, i, values[i] as number | bigint)
  return bytes
}

/** IEEE half precision bits to a number. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** A number to IEEE half precision bits, rounded to nearest even. */
export function numberToHalf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const magnitude = Math.abs(value)
  if (magnitude >= 65520) return sign | 0x7c00
  if (magnitude < 2 ** -14) return sign | roundEven(magnitude * 2 ** 24)
  const exponent = Math.floor(Math.log2(magnitude))
  // log2 can be off by one next to a power of two: normalise before taking the fraction.
  const e = magnitude < 2 ** exponent ? exponent - 1 : magnitude >= 2 ** (exponent + 1) ? exponent + 1 : exponent
  return sign | (((e + 14) << 10) + roundEven((magnitude / 2 ** e) * 1024))
}

/** A number to bfloat16 bits, rounded to nearest even. */
export function numberToBfloat16(value: number): number {
  const single = new DataView(new ArrayBuffer(4))
  single.setFloat32(0, value)
  const bits = single.getUint32(0)
  if (Number.isNaN(value)) return 0x7fc0
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff
}

function roundEven(x: number): number {
  const floor = Math.floor(x)
  const rest = x - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
}

const readers: Record<string, (view: DataView, i: number) => number> = {
  float: (v, i) => v.getFloat32(i * 4, true),
  double: (v, i) => v.getFloat64(i * 8, true),
  float16: (v, i) => halfToNumber(v.getUint16(i * 2, true)),
  bfloat16: (v, i) => {
    const single = new DataView(new ArrayBuffer(4))
    single.setUint32(0, v.getUint16(i * 2, true) << 16)
    return single.getFloat32(0)
  },
  float8e4m3fn: (v, i) => float8ToNumber(v.getUint8(i)),
  uint8: (v, i) => v.getUint8(i),
  bool: (v, i) => v.getUint8(i),
  int8: (v, i) => v.getInt8(i),
  uint16: (v, i) => v.getUint16(i * 2, true),
  int16: (v, i) => v.getInt16(i * 2, true),
  uint32: (v, i) => v.getUint32(i * 4, true),
  int32: (v, i) => v.getInt32(i * 4, true),
  int64: (v, i) => Number(v.getBigInt64(i * 8, true)),
  uint64: (v, i) => Number(v.getBigUint64(i * 8, true)),
}

const writers: Record<string, (view: DataView, i: number, value: number | bigint) => void> = {
  float: (v, i, x) => v.setFloat32(i * 4, Number(x), true),
  double: (v, i, x) => v.setFloat64(i * 8, Number(x), true),
  float16: (v, i, x) => v.setUint16(i * 2, numberToHalf(Number(x)), true),
  bfloat16: (v, i, x) => v.setUint16(i * 2, numberToBfloat16(Number(x)), true),
  float8e4m3fn: (v, i, x) => v.setUint8(i, numberToFloat8(Number(x))),
  uint8: (v, i, x) => v.setUint8(i, Number(x)),
  bool: (v, i, x) => v.setUint8(i, Number(x) === 0 ? 0 : 1),
  int8: (v, i, x) => v.setInt8(i, Number(x)),
  uint16: (v, i, x) => v.setUint16(i * 2, Number(x), true),
  int16: (v, i, x) => v.setInt16(i * 2, Number(x), true),
  uint32: (v, i, x) => v.setUint32(i * 4, Number(x), true),
  int32: (v, i, x) => v.setInt32(i * 4, Number(x), true),
  int64: (v, i, x) => v.setBigInt64(i * 8, BigInt(x), true),
  uint64: (v, i, x) => v.setBigUint64(i * 8, BigInt(x), true),
}
