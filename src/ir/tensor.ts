import { bug } from '../errors.ts'
import type { DType } from './dtype.ts'
import { byteSize, dtypes } from './dtype.ts'
import { elementsFromBytes, elementsToBytes } from './elements.ts'

/**
 * The bytes of a tensor in the layout of ONNX `raw_data`: little-endian, row-major, sub-byte types packed.
 *
 * A payload never has to be in memory: `read` fetches a part of it, so tensors of any size can be streamed.
 */
export interface Payload {
  /** Size of the whole raw layout in bytes. */
  readonly byteLength: number
  /** A fresh copy of `length` bytes from `offset` on. Throws when the range is outside the payload. */
  read(offset: number, length: number): Uint8Array
}

/** Bytes owned by the program. */
export class OwnedPayload implements Payload {
  readonly bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  get byteLength(): number {
    return this.bytes.length
  }

  read(offset: number, length: number): Uint8Array {
    return this.bytes.slice(offset, offset + length)
  }
}

/** Bytes computed from other payloads when somebody asks for them, so that a derived weight is streamed at save. */
export class DerivedPayload implements Payload {
  readonly byteLength: number
  readonly #read: (offset: number, length: number) => Uint8Array

  constructor(byteLength: number, read: (offset: number, length: number) => Uint8Array) {
    this.byteLength = byteLength
    this.#read = read
  }

  read(offset: number, length: number): Uint8Array {
    return this.#read(offset, length)
  }
}

/** Data: dtype, dims and a payload. Immutable; an edit makes a new tensor. */
export class Tensor {
  readonly dtype: DType
  readonly dims: readonly number[]
  /** The raw layout; `undefined` for string tensors. */
  readonly payload: Payload | undefined
  /** Elements of a string tensor as raw bytes, fetched on demand; `undefined` for all other types. */
  readonly strings: (() => readonly Uint8Array[]) | undefined
  readonly name: string
  /** Where the reader found it; opaque to everybody but reader and writer. */
  readonly origin: unknown

  constructor(init: {
    dtype: DType
    dims: readonly number[]
    payload?: Payload | undefined
    strings?: (() => readonly Uint8Array[]) | undefined
    name?: string
    origin?: unknown
  }) {
    this.dtype = init.dtype
    this.dims = init.dims
    this.payload = init.payload
    this.strings = init.strings
    this.name = init.name ?? ''
    this.origin = init.origin
  }

  /** A tensor of owned numbers. Integers outside the safe range need bigint elements. */
  static of(dtype: DType, dims: readonly number[], values: ArrayLike<number | bigint>, name = ''): Tensor {
    return new Tensor({ dtype, dims, name, payload: new OwnedPayload(elementsToBytes(dtype, values)) })
  }

  static int64(values: readonly number[], dims: readonly number[] = [values.length]): Tensor {
    return Tensor.of(dtypes.int64, dims, values)
  }

  static scalar(dtype: DType, value: number): Tensor {
    return Tensor.of(dtype, [], [value])
  }

  /** Number of elements. */
  get size(): number {
    let size = 1
    for (const dim of this.dims) size *= dim
    return size
  }

  /** Bytes of the raw layout by dims and dtype; `undefined` for strings and unknown types. */
  get expectedBytes(): number | undefined {
    return byteSize(this.dtype, this.size)
  }

  /**
   * All elements as numbers (int64 beyond 2^53 loses precision; use {@link toBigInts} there).
   * Meant for small tensors: refuses more than `limit` elements with a bug error.
   */
  toNumbers(limit = 1 << 20): number[] {
    return elementsFromBytes(this.dtype, this.#raw(limit), this.size)
  }

  /** The elements of an int64 or uint64 tensor, exact. */
  toBigInts(limit = 1 << 20): bigint[] {
    if (this.dtype !== dtypes.int64 && this.dtype !== dtypes.uint64)
      throw bug('toBigInts needs a 64-bit integer tensor')
    const raw = this.#raw(limit)
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
    return Array.from({ length: this.size }, (_, i) =>
      this.dtype === dtypes.int64 ? view.getBigInt64(i * 8, true) : view.getBigUint64(i * 8, true),
    )
  }

  /** The same data under another name. */
  named(name: string): Tensor {
    const { dtype, dims, payload, strings, origin } = this
    return new Tensor({ dtype, dims, payload, strings, origin, name })
  }

  #raw(limit: number): Uint8Array {
    if (this.payload === undefined) throw bug(`tensor "${this.name}" has no numeric elements`, { value: this.name })
    if (this.size > limit) throw bug(`tensor "${this.name}" is too large to be read as numbers`, { value: this.name })
    return this.payload.read(0, this.payload.byteLength)
  }
}
