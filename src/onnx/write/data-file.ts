import { createHash } from 'node:crypto'
import { basename, dirname, join } from 'node:path'
import { bug } from '../../errors.ts'
import type { Payload, Tensor } from '../../ir/index.ts'
import type { Piece } from '../../wire/index.ts'
import { bytesPiece, FileSource, totalSize } from '../../wire/index.ts'
import type { Place } from './storage.ts'
import { payloadPiece, rangeOf } from './tensor.ts'

/** Large tensors start at pages, so that runtimes can map them; smaller ones where any element type is aligned. */
const pageSize = 4096
const smallAlignment = 64
const largeTensor = 1 << 20
/** How much of both ends of a tensor goes into the hash. */
const sample = 4096

type ExternalPlace = Extract<Place, { kind: 'external' }>

/**
 * A file of external data beside a model: tensors one behind the other, padded with zeros. Its name has a short hash of
 * its layout and of the ends of its tensors, so that data of another content gets another name: after a crash between
 * the two renames, the old model still finds the old data.
 */
export class DataFile {
  readonly #folder: string
  readonly #stem: string
  readonly #pieces: Piece[] = []
  readonly #hash = createHash('sha256')
  readonly #known = new Map<string, ExternalPlace>()
  readonly #places: { location: string }[] = []
  #size = 0
  #name: string | undefined

  /** The data of a model that is saved to `model`. */
  constructor(model: string) {
    this.#folder = dirname(model)
    this.#stem = basename(model)
  }

  get isEmpty(): boolean {
    return this.#size === 0
  }

  get pieces(): readonly Piece[] {
    return this.#pieces
  }

  get path(): string {
    return join(this.#folder, this.#name ?? '')
  }

  /** Puts the data of a tensor in. What two tensors share is there once. */
  add(tensor: Tensor): Place {
    const { payload } = tensor
    if (!payload || this.#name !== undefined)
      throw bug(`tensor "${tensor.name}" comes too late`, { value: tensor.name })
    const key = rangeKey(payload)
    const known = key === undefined ? undefined : this.#known.get(key)
    if (known) return known
    const length = payload.byteLength
    this.#pad(length >= largeTensor ? pageSize : smallAlignment)
    const place = { kind: 'external' as const, location: '', offset: this.#size, length }
    this.#pieces.push(payloadPiece(payload))
    this.#size += length
    this.#places.push(place)
    this.#sample(payload, place.offset)
    if (key !== undefined) this.#known.set(key, place)
    return place
  }

  /** Gives the file, and all places in it, its name. Nothing can be added after that. */
  close(): void {
    this.#name = `${this.#stem}.${this.#hash.digest('hex').slice(0, 8)}.data`
    for (const place of this.#places) place.location = this.#name
  }

  get size(): number {
    return totalSize(this.#pieces)
  }

  #pad(alignment: number): void {
    const missing = (alignment - (this.#size % alignment)) % alignment
    if (missing === 0) return
    this.#pieces.push(bytesPiece(new Uint8Array(missing)))
    this.#size += missing
  }

  #sample(payload: Payload, offset: number): void {
    const length = payload.byteLength
    this.#hash.update(`${offset} ${length}\n`)
    this.#hash.update(payload.read(0, Math.min(sample, length)))
    if (length > sample)
      this.#hash.update(payload.read(Math.max(sample, length - sample), Math.min(sample, length - sample)))
  }
}

/** A test for the names that {@link DataFile} gives to data of a model of this name. */
export function dataFilesOf(model: string): (name: string) => boolean {
  return (name) => name.startsWith(`${model}.`) && /^[0-9a-f]{8}\.data$/.test(name.slice(model.length + 1))
}

/** What makes two payloads the same data: the file and the place in it. */
function rangeKey(payload: Payload): string | undefined {
  const range = rangeOf(payload)
  return range?.source instanceof FileSource ? `${range.source.path}:${range.start}:${range.end}` : undefined
}
