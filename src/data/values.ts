import type { DType } from '../ir/index.ts'
import { bitsOf, dtypeName, dtypes, isFloat, OwnedPayload, Tensor } from '../ir/index.ts'
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
  const shape = fitted(dims, elements.length, input)
  const dtype = type ?? input.dtype
  const bytes = bytesOf(elements, dtype)
  if (bytes !== undefined) return new Tensor({ dtype, dims: shape, payload: new OwnedPayload(bytes) })
  if (input.dtype === dtypes.string) return stringTensor(elements, shape, input)
  checkElements(elements, { name: input.name, dtype })
  return Tensor.of(dtype, shape, elements as ArrayLike<number | bigint>)
}

interface Flat {
  readonly dims: readonly number[]
  readonly elements: ArrayLike<unknown>
  /** The type the data says it has. */
  readonly type: DType | undefined
}

const typeNames: Readonly<Record<string, DType>> = { ...dtypes, float32: dtypes.float, float64: dtypes.double }

function flattened(value: unknown, { name }: ModelInput): Flat {
  if (isTyped(value)) return { dims: [value.length], elements: value, type: typeOfArray(value) }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return flatNested(value, name)
  // Tensors of other libraries look like this too.
  const { shape, dims = shape, data, type, dtype = type } = value as NamedValues
  if (!isSizes(dims)) throw new UnusableSample(`input "${name}" is an object without "dims"`)
  if (!Array.isArray(data) && !isTyped(data)) throw new UnusableSample(`input "${name}" has no list of "data"`)
  const named = dtype === undefined ? undefined : typeNames[String(dtype)]
  if (dtype !== undefined && named === undefined)
    throw new UnusableSample(`input "${name}" has the unknown type "${String(dtype)}"`)
  const size = dims.reduce((product, dim) => product * dim, 1)
  if (data.length !== size) throw new UnusableSample(`input "${name}" has ${data.length} elements and dims of ${size}`)
  return { dims, elements: data, type: named ?? typeOfArray(data) }
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0)
}

type Typed = ArrayBufferView & ArrayLike<number | bigint> & { readonly BYTES_PER_ELEMENT: number }

function isTyped(value: unknown): value is Typed {
  return ArrayBuffer.isView(value) && !(value instanceof DataView)
}

const arrayTypes: readonly (readonly [new () => ArrayBufferView, DType])[] = [
  [Float32Array, dtypes.float],
  [Float64Array, dtypes.double],
  [Int8Array, dtypes.int8],
  [Int16Array, dtypes.int16],
  [Int32Array, dtypes.int32],
  [Uint32Array, dtypes.uint32],
  [BigInt64Array, dtypes.int64],
  [BigUint64Array, dtypes.uint64],
]

/** The type of an array that can hold no other: bytes may be booleans, and 16 bits half precision. */
function typeOfArray(value: object): DType | undefined {
  return arrayTypes.find(([kind]) => value instanceof kind)?.[1]
}

/** A copy of the bytes of a typed array, when its elements are as wide as those of the type. */
function bytesOf(elements: ArrayLike<unknown>, dtype: DType): Uint8Array | undefined {
  if (!isTyped(elements) || bitsOf(dtype) !== 8 * elements.BYTES_PER_ELEMENT) return undefined
  return new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength).slice()
}

function flatNested(value: unknown, name: string): Flat {
  const dims: number[] = []
  for (let level = value; isList(level); level = level[0]) dims.push(level.length)
  const elements: unknown[] = []
  const visit = (item: unknown, depth: number) => {
    const isLeaf = depth === dims.length
    if (isLeaf === isList(item) || (!isLeaf && (item as ArrayLike<unknown>).length !== dims[depth]))
      throw new UnusableSample(`the lists of input "${name}" have different lengths`)
    if (isLeaf) elements.push(item)
    else for (const inner of item as ArrayLike<unknown> & Iterable<unknown>) visit(inner, depth + 1)
  }
  visit(value, 0)
  return { dims, elements, type: undefined }
}

function isList(value: unknown): value is readonly unknown[] | Typed {
  return Array.isArray(value) || isTyped(value)
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

/** Every element has to be a value of the type: nothing is rounded, wrapped or guessed. */
function checkElements(elements: ArrayLike<unknown>, input: Pick<ModelInput, 'name' | 'dtype'>): void {
  const name = dtypeName(input.dtype) ?? ''
  const range = ranges[name]
  if (range === undefined && !isFloat(input.dtype))
    throw new UnusableSample(`input "${input.name}" has type ${name}, which numbers in a list do not become`)
  for (let i = 0; i < elements.length; i++) {
    const element = elements[i]
    if (typeof element === 'bigint' && /int64/.test(name)) continue
    const isNumberLike = typeof element === 'bigint' || (typeof element === 'boolean' && name === 'bool')
    const number = isNumberLike ? Number(element) : element
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
