import { malformed, tooDeep } from '../errors.ts'
import { place, type Source } from './source.ts'

/** How the body of a field is laid out on the wire. */
export const wireType = { varint: 0, fixed64: 1, bytes: 2, group: 3, endGroup: 4, fixed32: 5 } as const

/** Most levels of messages or groups inside each other, the limit of every protobuf implementation. */
export const depthLimit = 100

/** Longest tag and length together: nothing in front of a body is longer. */
const longestHead = 15

/**
 * A walk over the fields of one message. After `next()` the properties describe the field: its number and wire type,
 * where it starts, where its body starts and where it ends, and the 64 bits of a varint.
 *
 * Every fault of the bytes is an error with the offset where it was found.
 */
export class Scan {
  number = 0
  wire = 0
  start = 0
  body = 0
  end: number
  low = 0
  high = 0
  readonly source: Source
  readonly stop: number
  /** Whether the marks that begin and end a group are steps of their own. */
  readonly #flat: boolean

  constructor(source: Source, start: number, stop: number, flat = false) {
    this.#flat = flat
    this.source = source
    this.end = start
    this.stop = stop
  }

  /** Moves to the next field; false at the end of the message. */
  next(): boolean {
    if (this.end >= this.stop) return false
    this.start = this.end
    const length = Math.min(longestHead, this.stop - this.start)
    const at = this.source.seek(this.start, length)
    const bytes = this.source.window
    const first = bytes[at] as number
    // One byte of tag and one of length or value: nearly every field.
    if (length > 1 && first < 0x80) {
      this.#tag(first)
      this.body = this.start + 1
      const second = bytes[at + 1] as number
      if (second < 0x80 && this.wire === wireType.bytes) {
        this.body = this.start + 2
        this.end = this.body + second
        if (this.end > this.stop) throw this.#overrun(second)
        return true
      }
      if (second < 0x80 && this.wire === wireType.varint) {
        this.low = second
        this.high = 0
        this.end = this.start + 2
        return true
      }
    } else this.body = this.start + this.#longTag(bytes, at, length)
    this.#body(bytes, at + this.body - this.start, at + length)
    return true
  }

  /** A walk over the message that the field holds. */
  inner(): Scan {
    return new Scan(this.source, this.body, this.end)
  }

  /** The varint of the field as an integer: a number while exact, bigint beyond. */
  get int(): number | bigint {
    const value = (this.high | 0) * 2 ** 32 + this.low
    return Number.isSafeInteger(value) ? value : (BigInt(this.high | 0) << 32n) | BigInt(this.low)
  }

  fault(message: string, offset = this.start): Error {
    return malformed(message, place(this.source, offset))
  }

  #tag(tag: number): void {
    this.number = tag >>> 3
    this.wire = tag & 7
    if (this.number === 0) throw this.fault(`a field has number 0 at byte ${this.start}`)
  }

  #longTag(bytes: Buffer, at: number, length: number): number {
    let tag = 0
    for (let i = 0; i < 5 && i < length; i++) {
      const byte = bytes[at + i] as number
      tag += (byte & 0x7f) * 2 ** (7 * i)
      if (byte >= 0x80) continue
      if (tag > 0xffffffff) break
      this.#tag(tag)
      return i + 1
    }
    throw this.fault(`a field tag is broken off or too long at byte ${this.start}`)
  }

  #body(bytes: Buffer, at: number, limit: number): void {
    switch (this.wire) {
      case wireType.varint:
        this.end = this.body + this.#varint(bytes, at, limit)
        return
      case wireType.bytes: {
        const count = this.#varint(bytes, at, limit)
        const length = this.high * 2 ** 32 + this.low
        // Beyond five bytes a length has to need them: other readers refuse such a padded one.
        if (count > 5 && (bytes[at + count - 1] as number) === 0)
          throw this.fault(`a length is padded at byte ${this.body}`)
        this.body += count
        this.end = this.body + length
        if (this.end > this.stop) throw this.#overrun(length)
        return
      }
      case wireType.fixed64:
      case wireType.fixed32:
        this.end = this.body + (this.wire === wireType.fixed64 ? 8 : 4)
        if (this.end > this.stop) throw this.#overrun(this.end - this.body)
        return
      case wireType.group:
        this.end = this.#flat ? this.body : this.#groupEnd()
        return
      default:
        if (this.#flat && this.wire === wireType.endGroup) {
          this.end = this.body
          return
        }
        throw this.fault(
          this.wire === wireType.endGroup
            ? `a group ends that did not begin, at byte ${this.start}`
            : `wire type ${this.wire} does not exist, at byte ${this.start}`,
        )
    }
  }

  /** Reads into `low` and `high`; returns the bytes it took. */
  #varint(bytes: Buffer, at: number, limit: number): number {
    let low = 0
    let high = 0
    for (let i = 0; i < 10 && at + i < limit; i++) {
      const byte = bytes[at + i] as number
      const bits = byte & 0x7f
      if (i < 4) low |= bits << (7 * i)
      else if (i === 4) {
        low |= bits << 28
        high = bits >> 4
      } else high |= bits << (7 * i - 32)
      if (byte >= 0x80) continue
      this.low = low >>> 0
      this.high = high >>> 0
      return i + 1
    }
    throw this.fault(`a number is broken off or too long at byte ${this.body}`, this.body)
  }

  /** Walks a group (a form of message that protobuf gave up) to its end, without recursion. */
  #groupEnd(): number {
    const open = [this.number]
    const inner = new Scan(this.source, this.body, this.stop, true)
    while (open.length > 0) {
      if (!inner.next()) throw this.fault(`a group that begins at byte ${this.start} does not end`)
      if (inner.wire === wireType.group) {
        open.push(inner.number)
        if (open.length > depthLimit) throw tooDeep(place(this.source, inner.start))
      } else if (inner.wire === wireType.endGroup && open.pop() !== inner.number) {
        throw this.fault(`a group ends that did not begin, at byte ${inner.start}`, inner.start)
      }
    }
    return inner.end
  }

  #overrun(length: number): Error {
    const left = this.stop - this.body
    return this.fault(`field ${this.number} at byte ${this.start} is ${length} bytes long, but only ${left} are left`)
  }
}
