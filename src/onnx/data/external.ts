import { dataSize, externalMalformed } from '../../errors.ts'
import type { Payload } from '../../ir/index.ts'
import { dtypes } from '../../ir/index.ts'
import type { Field } from '../../wire/index.ts'
import { place } from '../../wire/index.ts'
import type { Document } from '../document.ts'
import type { Location } from './location.ts'
import { parseLocation } from './location.ts'
import type { Head } from './range.ts'
import { headBytes, RangePayload } from './range.ts'

/** Data in another file, which is opened and checked when the data is first read. */
export class ExternalPayload implements Payload {
  readonly document: Document
  readonly #field: Field
  /** Key and value pairs as the model has them. */
  readonly entries: readonly (readonly [string, string])[]
  readonly #head: Head
  #location: Location | undefined
  #range: RangePayload | undefined

  constructor(document: Document, field: Field, entries: readonly (readonly [string, string])[], head: Head) {
    this.document = document
    this.#field = field
    this.entries = entries
    this.#head = head
  }

  get byteLength(): number {
    return headBytes(this.#head) ?? this.location.length ?? 0
  }

  /** Where the data is, as the model says. Throws a typed error when what it says makes no sense. */
  get location(): Location {
    this.#location ??= parseLocation(this.#head.name, this.entries, this.#field)
    return this.#location
  }

  /** The data in its file. Throws a typed error when the file is missing, too short, or must not be read. */
  get range(): RangePayload {
    this.#range ??= this.#open()
    return this.#range
  }

  read(offset: number, length: number): Uint8Array {
    return this.range.read(offset, length)
  }

  #open(): RangePayload {
    const { name, dtype } = this.#head
    const at = place(this.#field.source, this.#field.start)
    if (dtype === dtypes.string) throw externalMalformed(name, 'strings cannot be external', at)
    const { location, offset, length } = this.location
    const source = this.document.externalFile(name, location)
    const bytes = length ?? headBytes(this.#head) ?? source.size - offset
    if (headBytes(this.#head) !== undefined && bytes !== headBytes(this.#head)) {
      throw dataSize(name, bytes, headBytes(this.#head) as number, at)
    }
    if (offset + bytes > source.size) {
      throw externalMalformed(name, `"${location}" has ${source.size} bytes, and ${offset + bytes} are needed`, at)
    }
    return new RangePayload(source, offset, offset + bytes, this.#head)
  }
}
