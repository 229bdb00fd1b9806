import { bug } from '../errors.ts'
import type { DType } from './dtype.ts'
import { bitsOf, dtypes } from './dtype.ts'
import { elementsFromBytes, elementsToBytes } from './elements.ts'
import { DerivedPayload, Tensor } from './tensor.ts'

/** An element of a tensor as another one: its value, and its index in row-major order. */
export type ElementMap = (element: number, index: number) => number

/**
 * A tensor of the same dims whose elements are made of the elements of another, part by part when they are read.
 *
 * Both element types must be of whole bytes. Nothing is kept in memory, so weights of any size can be derived.
 */
export function mapElements(tensor: Tensor, map: ElementMap, dtype: DType = tensor.dtype): Tensor {
  const width = bytesOf(dtype)
  const read = (offset: number, length: number): Uint8Array => {
    const first = Math.floor(offset / width)
    const last = Math.ceil((offset + length) / width)
    const elements = elementsAt(tensor, first, last - first)
    for (let i = 0; i < elements.length; i++) elements[i] = map(elements[i] as number, first + i)
    const bytes = toBytes(dtype, elements)
    const skipped = offset - first * width
    return bytes.subarray(skipped, skipped + length)
  }
  const payload = new DerivedPayload(tensor.size * width, read)
  return new Tensor({ dtype, dims: tensor.dims, payload, name: tensor.name })
}

/** Visits every element in row-major order, reading the tensor part by part. */
export function forEachElement(tensor: Tensor, visit: (element: number, index: number) => void): void {
  const { size } = tensor
  for (let first = 0; first < size; first += partLength) {
    const elements = elementsAt(tensor, first, Math.min(partLength, size - first))
    for (let i = 0; i < elements.length; i++) visit(elements[i] as number, first + i)
  }
}

/** Elements that are read at once. */
const partLength = 1 << 16

function elementsAt(tensor: Tensor, first: number, count: number): Float64Array {
  const width = bytesOf(tensor.dtype)
  const bytes = tensor.payload?.read(first * width, count * width)
  if (!bytes) throw bug(`tensor "${tensor.name}" has no numeric elements`, { value: tensor.name })
  if (tensor.dtype !== dtypes.float) return Float64Array.from(elementsFromBytes(tensor.dtype, bytes, count))
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const elements = new Float64Array(count)
  for (let i = 0; i < count; i++) elements[i] = view.getFloat32(4 * i, true)
  return elements
}

function toBytes(dtype: DType, elements: Float64Array): Uint8Array {
  if (dtype !== dtypes.float) return elementsToBytes(dtype, elements)
  const bytes = new Uint8Array(4 * elements.length)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < elements.length; i++) view.setFloat32(4 * i, elements[i] as number, true)
  return bytes
}

function bytesOf(dtype: DType): number {
  const bits = bitsOf(dtype)
  if (bits === undefined || bits < 8) throw bug(`elements of type ${dtype} are not of whole bytes`)
  return bits / 8
}
