import { dataSize } from '../../errors.ts'
import type { DType, Payload } from '../../ir/index.ts'
import { byteSize } from '../../ir/index.ts'
import { copyOf, place, type Source } from '../../wire/index.ts'

/** What a payload needs to know of its tensor. */
export interface Head {
  readonly name: string
  readonly dtype: DType
  readonly dims: readonly number[]
}

/** Bytes of the raw layout by the dims; `undefined` for unknown types. */
export function headBytes(head: Head): number | undefined {
  return byteSize(head.dtype, elementCount(head))
}

export function elementCount(head: Head): number {
  return head.dims.reduce((count, dim) => count * dim, 1)
}

/** Data that stays in a file: a range of a source that holds the raw layout. */
export class RangePayload implements Payload {
  readonly source: Source
  readonly start: number
  readonly end: number
  readonly #head: Head

  constructor(source: Source, start: number, end: number, head: Head) {
    this.source = source
    this.start = start
    this.end = end
    this.#head = head
  }

  get byteLength(): number {
    return this.end - this.start
  }

  read(offset: number, length: number): Uint8Array {
    this.check()
    const start = this.start + offset
    if (offset < 0 || start + length > this.end) throw new RangeError('the range is outside the tensor')
    return copyOf(this.source, start, start + length)
  }

  /** Throws when the bytes are not as many as dims and type say. */
  check(): void {
    const expected = headBytes(this.#head)
    if (expected === undefined || expected === this.byteLength) return
    throw dataSize(this.#head.name, this.byteLength, expected, place(this.source, this.start))
  }
}
