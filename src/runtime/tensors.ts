import { runtimeUnsupportedType } from '../errors.ts'
import { dtypeName, dtypes, OwnedPayload, Tensor } from '../ir/index.ts'

/** A tensor as it travels to and from the process of the runtime. */
export interface PlainTensor {
  /** The name onnxruntime-node has for the element type. */
  readonly type: string
  readonly dims: readonly number[]
  readonly data: ArrayBufferView | readonly string[]
}

/** Element types a session takes and gives, with the array onnxruntime-node wants for each. */
const types: Record<string, readonly [dtype: number, array: new (buffer: ArrayBuffer) => ArrayBufferView]> = {
  float32: [dtypes.float, Float32Array],
  float64: [dtypes.double, Float64Array],
  float16: [dtypes.float16, Uint16Array],
  int8: [dtypes.int8, Int8Array],
  uint8: [dtypes.uint8, Uint8Array],
  int16: [dtypes.int16, Int16Array],
  uint16: [dtypes.uint16, Uint16Array],
  int32: [dtypes.int32, Int32Array],
  uint32: [dtypes.uint32, Uint32Array],
  int64: [dtypes.int64, BigInt64Array],
  uint64: [dtypes.uint64, BigUint64Array],
  bool: [dtypes.bool, Uint8Array],
}

/** Whether a graph input of that type can be fed. onnxruntime-node knows neither bfloat16 nor 8-bit floats. */
export function canBeFed(dtype: number): boolean {
  return dtype === dtypes.string || Object.values(types).some(([code]) => code === dtype)
}

export function toPlain(name: string, tensor: Tensor): PlainTensor {
  const { dims } = tensor
  if (tensor.strings) return { type: 'string', dims, data: tensor.strings().map((s) => Buffer.from(s).toString()) }
  const entry = Object.entries(types).find(([, [dtype]]) => dtype === tensor.dtype)
  if (entry === undefined || tensor.payload === undefined) throw runtimeUnsupportedType(name, dtypeName(tensor.dtype))
  const [type, [, array]] = entry
  // A copy of its own: the arrays of 2, 4 and 8 bytes an element need an aligned buffer.
  const bytes = Uint8Array.from(tensor.payload.read(0, tensor.payload.byteLength))
  return { type, dims, data: new array(bytes.buffer) }
}

export function fromPlain(name: string, { type, dims, data }: PlainTensor): Tensor {
  if (type === 'string' && !ArrayBuffer.isView(data)) {
    return new Tensor({ dtype: dtypes.string, dims, name, strings: () => data.map((text) => Buffer.from(text)) })
  }
  const entry = types[type]
  if (entry === undefined || !ArrayBuffer.isView(data)) throw runtimeUnsupportedType(name, type)
  const bytes = new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength)
  return new Tensor({ dtype: entry[0], dims, name, payload: new OwnedPayload(bytes) })
}
