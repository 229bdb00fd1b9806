import type { Fields } from './fields.ts'
import type { Piece } from './piece.ts'
import { rangePiece } from './piece.ts'
import { wireType } from './scan.ts'

/**
 * A message written anew from the fields it had: fields nobody touched are copied with their bytes and their place,
 * whether known or not; others are replaced, dropped, or added behind the last of their number.
 * Without old fields it is a new message with its fields in the order of their numbers.
 */
export class Patch {
  readonly #fields: Fields | undefined
  readonly #replaced = new Map<number, readonly Piece[]>()
  readonly #inserted = new Map<number, readonly Piece[]>()
  readonly #added = new Map<number, Piece[]>()

  constructor(fields?: Fields) {
    this.#fields = fields
  }

  /** Puts `pieces` where field `index` stood; none drops it. */
  replace(index: number, ...pieces: Piece[]): void {
    this.#replaced.set(index, pieces)
  }

  /** Puts `pieces` in front of field `index`, which stays. */
  insert(index: number, ...pieces: Piece[]): void {
    if (pieces.length > 0) this.#inserted.set(index, pieces)
  }

  /** Whether the message comes out as it was. */
  get untouched(): boolean {
    return this.#replaced.size + this.#inserted.size + this.#added.size === 0
  }

  /** Adds fields of `number` behind the last one there is, or where the number belongs. */
  add(number: number, ...pieces: Piece[]): void {
    if (pieces.length === 0) return
    const added = this.#added.get(number)
    if (added) added.push(...pieces)
    else this.#added.set(number, pieces)
  }

  /** Indices of the old fields of one number and wire type. */
  *indices(number: number, wire: number = wireType.bytes): Generator<number> {
    const fields = this.#fields
    for (let i = 0; fields && i < fields.count; i++) if (fields.number(i) === number && fields.wire(i) === wire) yield i
  }

  /** Drops all fields of a number. */
  drop(number: number): void {
    const fields = this.#fields
    for (let i = 0; fields && i < fields.count; i++) if (fields.number(i) === number) this.#replaced.set(i, [])
  }

  /** Field `number`, of which a message has at most one: `undefined` drops it. Of several the last counts and stays. */
  single(number: number, piece: Piece | undefined, wire: number = wireType.bytes): void {
    const old = [...this.indices(number, wire)]
    const last = old.pop()
    for (const index of old) this.replace(index)
    if (last !== undefined) this.replace(last, ...(piece ? [piece] : []))
    else if (piece) this.add(number, piece)
  }

  /** The content of the message. */
  pieces(): Piece[] {
    const pieces: Piece[] = []
    const fields = this.#fields
    const count = fields?.count ?? 0
    const added = this.#placed(count)
    let kept = -1
    const flush = (index: number) => {
      if (kept >= 0 && fields) pieces.push(rangePiece(fields.source, fields.startOf(kept), fields.endOf(index - 1)))
      kept = -1
    }
    for (let i = 0; i <= count; i++) {
      const here = added.get(i)
      const inserted = this.#inserted.get(i)
      const replacement = this.#replaced.get(i)
      if (here || inserted || replacement || i === count) flush(i)
      for (const more of [here, inserted, replacement]) if (more) pieces.push(...more)
      if (!replacement && kept < 0) kept = i
    }
    return pieces
  }

  /** What is added, by the index of the old field it goes in front of. */
  #placed(count: number): Map<number, Piece[]> {
    const placed = new Map<number, Piece[]>()
    for (const [number, pieces] of [...this.#added].sort(([a], [b]) => a - b)) {
      const at = this.#place(number, count)
      const here = placed.get(at)
      if (here) here.push(...pieces)
      else placed.set(at, [...pieces])
    }
    return placed
  }

  #place(number: number, count: number): number {
    const fields = this.#fields
    if (!fields) return count
    for (let i = count; i > 0; i--) if (fields.number(i - 1) === number) return i
    for (let i = 0; i < count; i++) if (fields.number(i) > number) return i
    return count
  }
}
