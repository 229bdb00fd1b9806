import { dataSize } from '../../errors.ts'
import type { DType, Payload } from '../../ir/index.ts'
import { bitsOf, dtypes } from '../../ir/index.ts'
import type { Field } from '../../wire/index.ts'
import { place, type Scan, wireType } from '../../wire/index.ts'
import { schema } from '../schema.ts'
import type { Head } from './range.ts'
import { headBytes } from './range.ts'

const T = schema.Tensor

/** The field that holds the elements of a type one by one. Source: onnx.proto, comments of TensorProto. */
export function typedField(dtype: DType): number {
  switch (dtype) {
    case dtypes.float:
    case dtypes.complex64:
      return T.floatData
    case dtypes.double:
    case dtypes.complex128:
      return T.doubleData
    case dtypes.int64:
      return T.int64Data
    case dtypes.uint32:
    case dtypes.uint64:
      return T.uint64Data
    default:
      return T.int32Data
  }
}

/** Bytes of the raw layout that one element of the typed field stands for. Two 4-bit elements share one byte. */
function unitBytes(dtype: DType): number {
  const number = typedField(dtype)
  if (number === T.floatData) return 4
  if (number === T.doubleData) return 8
  return Math.max(1, (bitsOf(dtype) ?? 8) / 8)
}

/**
 * Data given element by element (`float_data`, `int64_data`, …), converted to the raw layout while it is read.
 * Reading goes on where the last read ended; going back starts again from the first element.
 */
export class TypedPayload implements Payload {
  readonly byteLength: number
  readonly #field: Field
  readonly #head: Head
  readonly #width: number
  #cursor: Units | undefined

  constructor(field: Field, head: Head) {
    this.#field = field
    this.#head = head
    this.#width = unitBytes(head.dtype)
    this.byteLength = headBytes(head) ?? 0
  }

  read(offset: number, length: number): Uint8Array {
    if (offset < 0 || offset + length > this.byteLength) throw new RangeError('the range is outside the tensor')
    const first = Math.floor(offset / this.#width)
    const last = Math.ceil((offset + length) / this.#width)
    const bytes = new Uint8Array((last - first) * this.#width)
    if (this.#cursor === undefined || this.#cursor.next > first) this.#cursor = new Units(this.#field, this.#head.dtype)
    const done = this.#cursor.fill(bytes, first, last)
    if (done < last) this.#refuse(done)
    if (last * this.#width >= this.byteLength && this.#cursor.more()) this.#refuse(last + 1)
    return bytes.subarray(offset - first * this.#width, offset - first * this.#width + length)
  }

  #refuse(units: number): never {
    const { source, body } = this.#field
    throw dataSize(this.#head.name, units * this.#width, this.byteLength, place(source, body))
  }
}

/** The elements of a typed data field in order, over all packed runs and single elements. */
class Units {
  /** Index of the element that comes next. */
  next = 0
  readonly #number: number
  readonly #scan: Scan
  readonly #width: number
  readonly #varints: boolean
  /** What is left of the packed run the walk is in. */
  #run: Scan | undefined
  #position = 0

  constructor(field: Field, dtype: DType) {
    this.#number = typedField(dtype)
    this.#width = unitBytes(dtype)
    this.#varints = this.#number !== T.floatData && this.#number !== T.doubleData
    this.#scan = field.fields.scan(field.index)
  }

  /** Puts elements `first` to `last` into `bytes`; returns where the data ended when it is too short, `last` otherwise. */
  fill(bytes: Uint8Array, first: number, last: number): number {
    while (this.next < last) {
      if (!this.more()) return this.next
      if (this.#varints) this.#integers(bytes, first, last)
      else this.#floats(bytes, first, last)
    }
    return last
  }

  /** Whether an element follows. Moves to the run it is in. */
  more(): boolean {
    while (this.#run === undefined || this.#position >= this.#run.end) {
      this.#run = undefined
      if (!this.#scan.next()) return false
      if (this.#scan.number !== this.#number || !this.#fits(this.#scan.wire)) continue
      this.#run = this.#scan
      this.#position = this.#scan.body
      if (!this.#varints && (this.#scan.end - this.#scan.body) % this.#width !== 0) {
        throw this.#scan.fault(`packed data at byte ${this.#scan.body} is not a multiple of ${this.#width} bytes`)
      }
    }
    return true
  }

  #fits(wire: number): boolean {
    if (wire === wireType.bytes) return true
    return wire === (this.#varints ? wireType.varint : this.#width === 4 ? wireType.fixed32 : wireType.fixed64)
  }

  #integers(bytes: Uint8Array, first: number, last: number): void {
    const { source, end } = this.#scan
    while (this.#position < end && this.next < last) {
      const room = Math.min(end - this.#position, source.reach, 1 << 14)
      const start = source.seek(this.#position, room)
      // A varint that may go on behind the block is left for the next one.
      const safe = this.#position + room === end ? start + room : start + room - 9
      let at = start
      while (at < safe && this.next < last) at = this.#integer(source.window, at, start + room, bytes, first)
      this.#position += at - start
    }
  }

  #integer(window: Buffer, at: number, stop: number, bytes: Uint8Array, first: number): number {
    let target = this.next >= first ? (this.next - first) * this.#width : -1
    const limit = target + this.#width
    let pending = 0
    let filled = 0
    for (let n = 0; n < 10 && at + n < stop; n++) {
      const byte = window[at + n] as number
      pending += (byte & 0x7f) * 2 ** filled
      filled += 7
      for (; filled >= 8; filled -= 8, pending = Math.floor(pending / 256)) {
        if (target >= 0 && target < limit) bytes[target++] = pending % 256
      }
      if (byte >= 0x80) continue
      if (target >= 0 && target < limit) bytes[target] = pending
      this.next++
      return at + n + 1
    }
    throw this.#scan.fault(`a number is broken off or too long in the data at byte ${this.#position}`)
  }

  #floats(bytes: Uint8Array, first: number, last: number): void {
    const { source, end } = this.#scan
    const count = Math.min(
      (end - this.#position) / this.#width,
      this.next < first ? first - this.next : last - this.next,
    )
    if (this.next >= first) {
      const at = (this.next - first) * this.#width
      source.read(bytes.subarray(at, at + count * this.#width), this.#position)
    }
    this.#position += count * this.#width
    this.next += count
  }
}
