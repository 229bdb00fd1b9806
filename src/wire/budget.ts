import { budgetSpent } from '../errors.ts'
import { place, type Source } from './source.ts'

/**
 * How much structure a file may have. Structure costs memory, up to 200 bytes per byte of a crafted file, so it is
 * counted while it is read and refused before memory runs out.
 */
export class Budget {
  readonly limit: number
  #left: number

  constructor(limit: number) {
    this.limit = limit
    this.#left = limit
  }

  /** Pays for what was found at `offset`. */
  take(cost: number, source: Source, offset: number): void {
    this.#left -= cost
    if (this.#left < 0) throw budgetSpent(this.limit, place(source, offset))
  }
}
