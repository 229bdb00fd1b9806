import type { Tensor } from '../ir/index.ts'
import { isFloat } from '../ir/index.ts'

/** How near the outputs of one model come to those of another. */
export interface Similarity {
  readonly samples: number
  /** Largest and mean distance of two elements. */
  readonly maxAbs: number
  readonly meanAbs: number
  /** Mean over samples, and the least, of `a·b / (|a| |b|)`; 1 where both are all zeros. */
  readonly cosine: { readonly mean: number; readonly worst: number }
  /** `10 log10(Σ a² / Σ (a - b)²)`, the first model being the signal; infinite where nothing differs. */
  readonly sqnrDb: number
  /** Elements that are not finite in one model only. */
  readonly notFinite: number
}

/** Sums of one output over samples; nothing is kept of the tensors. */
export class SimilarityOf {
  #samples = 0
  #elements = 0
  #maxAbs = 0
  #sumAbs = 0
  #signal = 0
  #noise = 0
  #cosines = 0
  #worst = Number.POSITIVE_INFINITY
  #notFinite = 0

  /** The same output of both models for one sample. An element that is not finite in either does not enter the sums. */
  add(a: Tensor, b: Tensor): void {
    const [x, y] = [numbersOf(a), numbersOf(b)]
    let [aa, bb, ab, noise] = [0, 0, 0, 0]
    for (let i = 0; i < x.length; i++) {
      const p = x[i] as number
      const q = y[i] ?? Number.NaN
      if (!Number.isFinite(p) || !Number.isFinite(q)) {
        if (Number.isFinite(p) || Number.isFinite(q) || (p !== q && !(Number.isNaN(p) && Number.isNaN(q))))
          this.#notFinite++
        continue
      }
      const d = Math.abs(p - q)
      if (d > this.#maxAbs) this.#maxAbs = d
      this.#sumAbs += d
      noise += d * d
      aa += p * p
      bb += q * q
      ab += p * q
    }
    const cosine = aa === 0 && bb === 0 ? 1 : aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb)
    this.#samples++
    this.#elements += x.length
    this.#signal += aa
    this.#noise += noise
    this.#cosines += cosine
    this.#worst = Math.min(this.#worst, cosine)
  }

  get result(): Similarity {
    return {
      samples: this.#samples,
      maxAbs: this.#maxAbs,
      meanAbs: this.#sumAbs / Math.max(1, this.#elements),
      cosine: { mean: this.#cosines / Math.max(1, this.#samples), worst: this.#worst },
      sqnrDb: 10 * Math.log10(this.#signal / this.#noise),
      notFinite: this.#notFinite,
    }
  }
}

/** Outputs are small beside a model: a token, a vector or a picture. */
const largestOutput = 1 << 28

function numbersOf(tensor: Tensor): ArrayLike<number> {
  return tensor.toNumbers(largestOutput)
}

/** Whether an output is compared element by element. */
export function isComparable(tensor: Tensor): boolean {
  return tensor.payload !== undefined && isFloat(tensor.dtype)
}
