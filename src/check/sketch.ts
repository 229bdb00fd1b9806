/** Projections of a sketch. */
const size = 8

/** A magnitude beyond this stands for "minus infinity", in masks and masked scores. */
const largestNumber = 1e30

/**
 * A few numbers that stand for many: `p_j = Σ ±x_i / √n`, with signs that depend on `i` and `j` alone. Where `x` changes by
 * `d`, the root of the mean of the squares of the changes of `p` is about that of `d`, wherever the change is.
 */
export class Sketch {
  #count = 0
  #squares = 0
  readonly #sums = new Float64Array(size)

  add(values: ArrayLike<number>): void {
    for (let i = 0; i < values.length; i++) {
      const x = values[i] as number
      const signs = mixed(this.#count++)
      if (!(Math.abs(x) < largestNumber)) continue
      this.#squares += x * x
      for (let j = 0; j < size; j++) this.#sums[j] = (this.#sums[j] as number) + ((signs >> j) & 1 ? x : -x)
    }
  }

  result(): { readonly rms: number; readonly projections: readonly number[] } {
    const count = Math.max(1, this.#count)
    return {
      rms: Math.sqrt(this.#squares / count),
      projections: Array.from(this.#sums, (sum) => sum / Math.sqrt(count)),
    }
  }
}

/** How far two sketches are from each other, as a share of `rms`. */
export function sketchDistance(a: readonly number[], b: readonly number[], rms: number): number {
  const squares = a.reduce((sum, x, i) => sum + (x - (b[i] ?? Number.NaN)) ** 2, 0)
  const distance = Math.sqrt(squares / Math.max(1, a.length))
  return rms > 0 ? distance / rms : distance
}

/** The finalizer of MurmurHash3: every bit depends on every bit of the index. */
function mixed(index: number): number {
  let h = index | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
