/** How near the outputs of one model come to those of another. */
export interface Similarity {
  readonly samples: number
  /** Largest and mean distance of two elements. */
  readonly maxAbs: number
  readonly meanAbs: number
  /** Mean and least of `a·b / (|a| |b|)`, an output of a sample being one vector; 1 where both are all zeros. */
  readonly cosine: { readonly mean: number; readonly worst: number }
  /** `10 log10(Σ a² / Σ (a - b)²)`, the first model being the signal; infinite where nothing differs. */
  readonly sqnrDb: number
  /** Elements that are no number in the second model and are one in the first. */
  readonly notFinite: number
}

/** A magnitude beyond this stands for "minus infinity", in masks and masked scores, and is not compared. */
const largestNumber = 1e30

/** Sums over pairs of vectors; nothing is kept of them. */
export class Resemblance {
  #pairs = 0
  #elements = 0
  #maxAbs = 0
  #sumAbs = 0
  #signal = 0
  #noise = 0
  #cosines = 0
  #worst = 1
  #notFinite = 0

  add(a: ArrayLike<number>, b: ArrayLike<number>): void {
    let [aa, bb, ab] = [0, 0, 0]
    for (let i = 0; i < a.length; i++) {
      const x = a[i] as number
      if (!(Math.abs(x) < largestNumber)) continue
      let y = b[i] ?? Number.NaN
      if (!(Math.abs(y) < largestNumber)) {
        this.#notFinite++
        // As wrong as can be.
        y = -x
      }
      this.#distance(Math.abs(x - y))
      aa += x * x
      bb += y * y
      ab += x * y
    }
    const cosine = aa === 0 || bb === 0 ? Number(aa === bb) : ab / Math.sqrt(aa * bb)
    this.#pairs++
    this.#signal += aa
    this.#cosines += cosine
    this.#worst = Math.min(this.#worst, cosine)
  }

  #distance(d: number): void {
    this.#elements++
    this.#maxAbs = Math.max(this.#maxAbs, d)
    this.#sumAbs += d
    this.#noise += d * d
  }

  /** Of `samples` samples. */
  result(samples: number): Similarity {
    return {
      samples,
      maxAbs: this.#maxAbs,
      meanAbs: this.#sumAbs / Math.max(1, this.#elements),
      cosine: { mean: this.#cosines / Math.max(1, this.#pairs), worst: this.#worst },
      sqnrDb: 10 * Math.log10(this.#signal / this.#noise),
      notFinite: this.#notFinite,
    }
  }
}
