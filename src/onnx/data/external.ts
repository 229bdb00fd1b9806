import type { Payload } from '../../ir/index.ts'
import type { Field } from '../../wire/index.ts'
import type { Document } from '../document.ts'
import type { Head } from './range.ts'
import { headBytes, RangePayload } from './range.ts'

/** Data in another file, which is opened and checked when the data is first read. */
export class ExternalPayload implements Payload {
  readonly field: Field
  /** The entries as the model has them. */
  readonly entries: ReadonlyMap<string, string>
  readonly #document: Document
  readonly #head: Head
  #range: RangePayload | undefined

  constructor(document: Document, field: Field, entries: ReadonlyMap<string, string>, head: Head) {
    this.#document = document
    this.field = field
    this.entries = entries
    this.#head = head
  }

  get byteLength(): number {
    return headBytes(this.#head) ?? 0
  }

  read(offset: number, length: number): Uint8Array {
    return this.range.read(offset, length)
  }

  /** Where the data is. Throws a typed error when the entries are at fault, the file is missing or must not be read. */
  get range(): RangePayload {
    this.#range ??= this.#document.external(this.entries, this.#head, this.field)
    return this.#range
  }
}
