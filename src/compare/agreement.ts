import type { Numbers } from './distances.js'

/** How often two models choose the same: of `rows` rows of a distribution over classes. */
export interface Agreement {
  readonly rows: number
  /** Share of rows with the same best class. */
  readonly top1: number
  /** Mean share of the `k` best classes that both have. */
  readonly topK: number
  readonly k: number
}

/** Counts agreement of rows along the last axis. */
export class Choices {
  readonly #classes: number
  readonly #k: number
  #rows = 0
  #same = 0
  #shared = 0

  constructor(classes: number, k: number) {
    this.#classes = classes
    this.#k = Math.min(k, classes)
  }

  add(a: Numbers, b: Numbers): void {
    for (let start = 0; start + this.#classes <= a.length; start += this.#classes) {
      const [first, second] = [this.#best(a, start), this.#best(b, start)]
      this.#rows++
      if (first[0] === second[0]) this.#same++
      this.#shared += first.filter((index) => second.includes(index)).length / this.#k
    }
  }

  result(): Agreement {
    const rows = Math.max(1, this.#rows)
    return { rows: this.#rows, top1: this.#same / rows, topK: this.#shared / rows, k: this.#k }
  }

  /** The best classes of a row, the first of equals first. */
  #best(values: Numbers, start: number): number[] {
    const best: number[] = []
    for (let i = 0; i < this.#classes; i++) {
      const value = values[start + i] as number
      let at = best.length
      while (at > 0 && value > (values[start + (best[at - 1] as number)] as number)) at--
      if (at >= this.#k) continue
      best.splice(at, 0, i)
      if (best.length > this.#k) best.pop()
    }
    return best
  }
}

/** How far sums of rows may be from 1: half precision, and Softmax1, lose some. */
const slack = 0.02

/**
 * The classes of an output that is a distribution over its last axis: probabilities, their logarithms, or what its name
 * calls logits. `undefined` for any other.
 */
export function classesOf(name: string, dims: readonly number[], values: Numbers): number | undefined {
  const classes = dims.at(-1) ?? 0
  if (classes < 2 || values.length === 0) return undefined
  if (/(^|[^a-z])logits?$/i.test(name)) return classes
  const sumsToOne = (probability: (value: number) => number) => {
    for (let start = 0; start < values.length; start += classes) {
      let sum = 0
      for (let i = start; i < start + classes; i++) sum += probability(values[i] as number)
      if (!(Math.abs(sum - 1) < slack)) return false
    }
    return true
  }
  const outside = (value: number) => !(value >= 0 && value <= 1 + slack)
  const isProbability = sumsToOne((value) => (outside(value) ? Number.NaN : value))
  const isLogarithm = () => sumsToOne((value) => (value <= 0 ? Math.exp(value) : Number.NaN))
  return isProbability || isLogarithm() ? classes : undefined
}
