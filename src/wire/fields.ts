import { Budget } from './budget.ts'
import { Scan } from './scan.ts'
import type { Source } from './source.ts'

/**
 * The fields of one message, as columns: 13 bytes a field, whatever its size. A field begins where the one before it
 * ends, so its end needs no column.
 */
export class Fields {
  readonly source: Source
  readonly start: number
  readonly end: number
  readonly budget: Budget
  #count = 0
  #starts = new Float64Array(8)
  #tags = new Uint32Array(8)
  #heads = new Uint8Array(8)

  constructor(source: Source, start: number, end: number, budget: Budget) {
    this.source = source
    this.start = start
    this.end = end
    this.budget = budget
    const scan = new Scan(source, start, end)
    while (scan.next()) this.#add(scan)
    this.#resize(this.#count)
  }

  get count(): number {
    return this.#count
  }

  number(index: number): number {
    return (this.#tags[index] as number) >>> 3
  }

  wire(index: number): number {
    return (this.#tags[index] as number) & 7
  }

  /** Where the field starts, its tag included. */
  startOf(index: number): number {
    return this.#starts[index] as number
  }

  /** Where its content starts: behind tag and length. */
  bodyOf(index: number): number {
    return (this.#starts[index] as number) + (this.#heads[index] as number)
  }

  endOf(index: number): number {
    return index + 1 < this.#count ? (this.#starts[index + 1] as number) : this.end
  }

  /** A walk over the message that is the body of a field. */
  scan(index: number): Scan {
    return new Scan(this.source, this.bodyOf(index), this.endOf(index))
  }

  /** The fields of the message that is the body of a field, which may cost as much as all of the file did. */
  inside(index: number): Fields {
    return this.part(this.bodyOf(index), this.endOf(index), new Budget(this.budget.limit))
  }

  field(index: number): Field {
    return new Field(this, index)
  }

  /** The fields of a message that lies somewhere in this one. */
  part(start: number, end: number, budget: Budget): Fields {
    return new Fields(this.source, start, end, budget)
  }

  #add(scan: Scan): void {
    this.budget.take(1, scan.source, scan.start)
    if (this.#count === this.#tags.length) this.#resize(this.#count * 2)
    this.#starts[this.#count] = scan.start
    this.#tags[this.#count] = scan.number * 8 + scan.wire
    this.#heads[this.#count++] = scan.body - scan.start
  }

  #resize(length: number): void {
    this.#starts = resized(this.#starts, length)
    this.#tags = resized(this.#tags, length)
    this.#heads = resized(this.#heads, length)
  }
}

function resized<T extends Float64Array | Uint32Array | Uint8Array>(column: T, length: number): T {
  const next = new (column.constructor as new (length: number) => T)(length)
  next.set(column.subarray(0, Math.min(length, column.length)))
  return next
}

/** One field of a scanned message: what the IR keeps as the origin of an object. */
export class Field {
  readonly fields: Fields
  readonly index: number

  constructor(fields: Fields, index: number) {
    this.fields = fields
    this.index = index
  }

  get source(): Source {
    return this.fields.source
  }

  get start(): number {
    return this.fields.startOf(this.index)
  }

  get body(): number {
    return this.fields.bodyOf(this.index)
  }

  get end(): number {
    return this.fields.endOf(this.index)
  }

  /** A scan that stands at the field. */
  at(): Scan {
    const scan = new Scan(this.source, this.start, this.end)
    scan.next()
    return scan
  }

  /** The fields of the message the field holds. */
  inside(): Fields {
    return this.fields.inside(this.index)
  }
}
