import { budgetSpent } from '../errors.ts'

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

  take(cost: number): void {
    this.#left -= cost
    if (this.#left < 0) throw budgetSpent(this.limit)
  }
}
