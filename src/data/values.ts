import type { DType } from '../ir/index.ts'
import { dtypeName, dtypes, isFloat, OwnedPayload, Tensor } from '../ir/index.ts'
import type { ModelInput } from './inputs.ts'
import { batchOf, describeType } from './inputs.ts'
import { UnusableSample } from './reader.ts'
import type { NamedValues, Preparation } from './records.ts'

/** Records whose values are the inputs themselves: nested lists, numbers, typed arrays, `{ dims, data, dtype? }`. */
export function valuesAsInputs(inputs: readonly ModelInput[]): Preparation {
  const wanted = new Map(inputs.map((input) => [input.name, input]))
  return {
    notes: [],
    settings: {},
    files: [],
    prepare: (record) => {
      const feeds: Record<string, Tensor> = {}
      for (const [name, value] of Object.entries(record)) {
        const input = wanted.get(name)
        feeds[name] = input === undefined ? unused : tensorFrom(value, input)
      }
      return feeds
    },
  }
}

/** Stands for a value that no input takes. */
const unused = Tensor.of(dtypes.uint8, [0], [])

/** A value as a tensor of the type of its input. Throws {@link UnusableSample} when it has no such value. */
export function tensorFrom(value: unknown, input: ModelInput): Tensor {
  if (value instanceof Tensor) return value
  const { dims, elements, type } = flattened(value, input)
  if (type !== undefined && type !== input.dtype) return Tensor.of(type, dims, elements as number[])
  const shape = fitted(dims, elements.length, input)
  if (input.dtype === dtypes.string) return stringTensor(elements, shape, input)
  checkElements(elements, input)
  return Tensor.of(input.dtype, shape, elements as ArrayLike<number | bigint>)
}

interface Flat {
  readonly dims: readonly number[]
  readonly elements: ArrayLike<unknown>
  /** The type the data says it has. */
  readonly type: DType | undefined
}

const typeNames: Readonly<Record<string, DType>> = { ...dtypes, float32: dtypes.float, float64: dtypes.double }

function flattened(value: unknown, input: ModelInput): Flat {
  if (ArrayBuffer.isView(value)) return { ...flatTyped(value, [length(value)]), type: typeOfArray(value) }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return flatNested(value, input.name)
  const { dims, shape = dims, data, dtype, type = dtype } = value as NamedValues
  if (!Array.isArray(shape) || !shape.every((n) => Number.isSafeInteger(n) && n >= 0))
    throw new UnusableSample(`input "${input.name}" is an object without "dims"`)
  const named = type === undefined ? undefined : typeNames[String(type)]
  if (type !== undefined && named === undefined)
    throw new UnusableSample(`input "${input.name}" has the unknown type "${String(type)}"`)
  const flat = ArrayBuffer.isView(data) ? flatTyped(data, shape) : { dims: shape, elements: listOf(data, input.name) }
  const size = shape.reduce((product: number, dim: number) => product * dim, 1)
  if (flat.elements.length !== size)
    throw new UnusableSample(`input "${input.name}" has ${flat.elements.length} elements and dims of ${size}`)
  return { ...flat, type: named ?? (ArrayBuffer.isView(data) ? typeOfArray(data) : undefined) }
}

function listOf(data: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(data)) throw new UnusableSample(`input "${name}" has no list of "data"`)
  return data
}

function length(view: ArrayBufferView): number {
  return (view as Float32Array).length
}

function flatTyped(view: ArrayBufferView, dims: readonly number[]) {
  if (view instanceof DataView) throw new UnusableSample('a DataView has no element type')
  return { dims, elements: view as unknown as ArrayLike<number | bigint> }
}

const arrayTypes: readonly (readonly [new () => ArrayBufferView, DType])[] = [
  [Float32Array, dtypes.float],
  [Float64Array, dtypes.double],
  [Int8Array, dtypes.int8],
  [Int16Array, dtypes.int16],
  [Uint16Array, dtypes.uint16],
  [Int32Array, dtypes.int32],
  [Uint32Array, dtypes.uint32],
  [BigInt64Array, dtypes.int64],
  [BigUint64Array, dtypes.uint64],
]

/** Bytes may be booleans, and stand for any type of that width. */
function typeOfArray(view: ArrayBufferView): DType | undefined {
  return arrayTypes.find(([kind]) => view instanceof kind)?.[1]
}

function flatNested(value: unknown, name: string): Flat {
  const dims: number[] = []
  for (let level = value; isList(level); level = level[0]) dims.push(length(level as ArrayBufferView))
  const elements: unknown[] = []
  const visit = (item: unknown, depth: number) => {
    const isLeaf = depth === dims.length
    if (isLeaf === isList(item) || (!isLeaf && length(item as ArrayBufferView) !== dims[depth]))
      throw new UnusableSample(`the lists of input "${name}" have different lengths`)
    if (isLeaf) elements.push(item)
    else for (const inner of item as ArrayLike<unknown> & Iterable<unknown>) visit(inner, depth + 1)
  }
  visit(value, 0)
  return { dims, elements, type: undefined }
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))
}

/** Dims with the leading axis of one sample, and a flat list in the shape of its input where that is fixed. */
function fitted(dims: readonly number[], size: number, input: ModelInput): readonly number[] {
  const { shape } = input
  if (shape === undefined || dims.length === shape.length) return dims
  const batch = batchOf(input)
  if (dims.length === shape.length - 1 && batch === 1) return [1, ...dims]
  const [, ...rest] = shape
  const isFixed = rest.every((dim) => typeof dim === 'number')
  const whole = isFixed ? [batch, ...(rest as number[])] : dims
  return dims.length === 1 && whole.reduce((product, dim) => product * dim, 1) === size ? whole : dims
}

function stringTensor(elements: ArrayLike<unknown>, dims: readonly number[], input: ModelInput): Tensor {
  const strings = Array.from(elements, (element) => {
    if (typeof element !== 'string') throw new UnusableSample(`input "${input.name}" has an element that is no text`)
    return Buffer.from(element)
  })
  return new Tensor({ dtype: dtypes.string, dims, strings: () => strings })
}

const ranges: Readonly<Record<string, readonly [min: number, max: number]>> = {
  uint8: [0, 255],
  int8: [-128, 127],
  uint16: [0, 65535],
  int16: [-32768, 32767],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint64: [0, Number.MAX_SAFE_INTEGER],
  bool: [0, 1],
}

/** Every element has to be a value of the type of the input: nothing is rounded, wrapped or guessed. */
function checkElements(elements: ArrayLike<unknown>, input: ModelInput): void {
  const name = dtypeName(input.dtype) ?? ''
  const range = ranges[name]
  if (range === undefined && !isFloat(input.dtype))
    throw new UnusableSample(`input "${input.name}" has type ${name}, which numbers in a list do not become`)
  for (let i = 0; i < elements.length; i++) {
    const element = elements[i]
    if (typeof element === 'bigint' && /int64/.test(name)) continue
    const number = typeof element === 'boolean' && name === 'bool' ? Number(element) : element
    const isValue =
      typeof number === 'number' &&
      (range === undefined || (Number.isInteger(number) && number >= range[0] && number <= range[1]))
    if (isValue) continue
    const wanted = describeType(input.dtype, undefined)
    throw new UnusableSample(`element ${i} of input "${input.name}" is ${show(element)}, which is no ${wanted}`)
  }
}

function show(element: unknown): string {
  return typeof element === 'bigint' ? `${element}` : (JSON.stringify(element) ?? String(element)).slice(0, 40)
}

/** The bytes of a view as a tensor of 8-bit elements. */
export function bytesTensor(dtype: DType, dims: readonly number[], bytes: Uint8Array): Tensor {
  return new Tensor({ dtype, dims, payload: new OwnedPayload(bytes) })
}
