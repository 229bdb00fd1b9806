/** Element types of ONNX tensors, by the number `TensorProto.DataType` gives them. Source: onnx.proto, IR version 14. */
export const dtypes = {
  undefined: 0,
  float: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  double: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
  float4e2m1: 23,
  float8e8m0: 24,
  uint2: 25,
  int2: 26,
} as const

export type DTypeName = keyof typeof dtypes
/** The wire number of an element type. Numbers this version does not know pass through. */
export type DType = number

const names = new Map<number, DTypeName>(Object.entries(dtypes).map(([name, code]) => [code, name as DTypeName]))

/** The name of an element type, `undefined` when the number is newer than this version. */
export function dtypeName(dtype: DType): DTypeName | undefined {
  return names.get(dtype)
}

const bits: Partial<Record<DTypeName, number>> = {
  float: 32,
  uint8: 8,
  int8: 8,
  uint16: 16,
  int16: 16,
  int32: 32,
  int64: 64,
  bool: 8,
  float16: 16,
  double: 64,
  uint32: 32,
  uint64: 64,
  complex64: 64,
  complex128: 128,
  bfloat16: 16,
  float8e4m3fn: 8,
  float8e4m3fnuz: 8,
  float8e5m2: 8,
  float8e5m2fnuz: 8,
  uint4: 4,
  int4: 4,
  float4e2m1: 4,
  float8e8m0: 8,
  uint2: 2,
  int2: 2,
}

/** Bits per element; `undefined` for strings and unknown types. */
export function bitsOf(dtype: DType): number | undefined {
  const name = dtypeName(dtype)
  return name === undefined ? undefined : bits[name]
}

/** Bytes that `count` elements take in raw data, sub-byte types packed and rounded up; `undefined` where not fixed. */
export function byteSize(dtype: DType, count: number): number | undefined {
  const width = bitsOf(dtype)
  return width === undefined ? undefined : Math.ceil((count * width) / 8)
}

/** Whether the type is one of the floating-point types attention is computed in. */
export function isFloat(dtype: DType): boolean {
  return dtype === dtypes.float || dtype === dtypes.float16 || dtype === dtypes.double || dtype === dtypes.bfloat16
}
