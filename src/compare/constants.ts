import { createHash } from 'node:crypto'
import type { Value } from '../ir/index.ts'
import { dtypeName, forEachElement, isFloat, Tensor } from '../ir/index.ts'

/** The data of a value that is an initializer or comes of a Constant node with a tensor. */
export function constantTensorOf({ initializer, producer }: Value): Tensor | undefined {
  if (initializer !== undefined || producer?.op !== 'Constant') return initializer
  const attribute = producer.attributes.get('value')
  return attribute?.kind === 'tensor' ? attribute.value : undefined
}

/** Bytes of each end of a tensor that tell it from most others. */
const sample = 64
/** Bytes read at once. */
const block = 1 << 20

/** What tells a constant from most others, without reading more than its ends. */
export function digestOf(tensor: Tensor): string {
  const digest = createHash('sha256').update(`${tensor.dtype} ${tensor.dims.join()} `)
  for (const text of tensor.strings?.() ?? []) digest.update(text)
  const { payload } = tensor
  if (payload !== undefined) {
    const length = Math.min(sample, payload.byteLength)
    digest.update(payload.read(0, length)).update(payload.read(payload.byteLength - length, length))
  }
  return digest.digest('hex')
}

/** How a constant changed. */
export interface ContentChange {
  readonly what: 'type' | 'shape' | 'content'
  /** Type and shape, or the element where there is just one. */
  readonly before: string
  readonly after: string
  /** `|a - b| / |a|` of floats of one shape; infinite where `a` is all zeros. */
  readonly relative: number | undefined
}

/**
 * How a constant changed; undefined where it did not. Bytes are compared a block at a time, the ends first: the first
 * difference ends it, and memory does not depend on the size.
 */
export function contentChange(a: Tensor, b: Tensor): ContentChange | undefined {
  const described = { before: describe(a), after: describe(b) }
  if (a.dtype !== b.dtype) return { what: 'type', ...described, relative: undefined }
  if (String(a.dims) !== String(b.dims)) return { what: 'shape', ...described, relative: undefined }
  if (digestOf(a) === digestOf(b) && sameBytes(a, b)) return undefined
  const isNumber = isFloat(a.dtype)
  const shown = isNumber && a.size === 1 ? { before: element(a), after: element(b) } : described
  return { what: 'content', ...shown, relative: isNumber ? relativeDistance(a, b) : undefined }
}

function sameBytes({ payload: a, strings }: Tensor, { payload: b }: Tensor): boolean {
  // The digest has all of a text.
  if (strings !== undefined || a === undefined || b === undefined) return true
  if (a.byteLength !== b.byteLength) return false
  for (let at = 0; at < a.byteLength; at += block) {
    const length = Math.min(block, a.byteLength - at)
    if (Buffer.compare(a.read(at, length), b.read(at, length)) !== 0) return false
  }
  return true
}

function relativeDistance(a: Tensor, b: Tensor): number {
  let [signal, noise] = [0, 0]
  const others = elementsOf(b)
  forEachElement(a, (x) => {
    const y = others.next().value as number
    signal += x * x
    noise += (x - y) * (x - y)
  })
  return signal === 0 ? Number.POSITIVE_INFINITY : Math.sqrt(noise / signal)
}

/** Elements in order, as many in memory as a block has. */
function* elementsOf(tensor: Tensor): Generator<number, number> {
  const { payload, dtype, size } = tensor
  if (payload === undefined || size === 0) return 0
  const width = payload.byteLength / size
  const rows = Math.floor(block / width)
  for (let first = 0; first < size; first += rows) {
    const count = Math.min(rows, size - first)
    const read = (offset: number, length: number) => payload.read(first * width + offset, length)
    const elements = new Float64Array(count)
    forEachElement(partOf(dtype, count, { byteLength: count * width, read }), (x, i) => {
      elements[i] = x
    })
    yield* elements
  }
  return 0
}

function partOf(dtype: number, count: number, payload: NonNullable<Tensor['payload']>): Tensor {
  return new Tensor({ dtype, dims: [count], payload })
}

function element(tensor: Tensor): string {
  return String(tensor.toNumbers()[0])
}

function describe({ dtype, dims }: Tensor): string {
  return `${dtypeName(dtype) ?? dtype}[${dims.join(', ')}]`
}
