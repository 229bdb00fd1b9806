import type { Distance, Numbers, Within } from './distances.js'
import { distanceOf } from './distances.js'

/** How near the outputs of one model come to those of another. */
export interface Similarity {
  readonly samples: number
  /** Elements that were compared, of all samples. */
  readonly elements: number
  /** Largest and mean distance of two elements. */
  readonly maxAbs: number
  readonly meanAbs: number
  /** `Σ |a - b| / Σ |a|`. */
  readonly relative: number
  /** Mean and least of `a·b / (|a| |b|)`, an output of a sample being one vector; 1 where both are all zeros. */
  readonly cosine: { readonly mean: number; readonly worst: number }
  /** `10 log10(Σ a² / Σ (a - b)²)`, the first model being the signal; infinite where nothing differs. */
  readonly sqnrDb: number
  /** Elements that are no number, or hidden by a mask, in one of the models only. */
  readonly notFinite: number
  /** Elements that are no number in either; they are not compared. */
  readonly neither: number
  /** Elements further apart than was allowed. */
  readonly outside: number
  /** Samples on which the shapes differ. */
  readonly unlikeShapes: number
}

/** Sums over pairs of vectors; nothing is kept of them. */
export class Resemblance {
  #pairs = 0
  #elements = 0
  #maxAbs = 0
  #sumAbs = 0
  #sumSize = 0
  #signal = 0
  #noise = 0
  #cosines = 0
  #worst = 1
  #notFinite = 0
  #neither = 0
  #outside = 0
  #unlikeShapes = 0
  #largest = 0

  add(a: Numbers, b: Numbers, within?: Within): void {
    this.addDistance(distanceOf(a, b, within))
  }

  /** `undefined` stands for shapes that differ. */
  addDistance(distance: Distance | undefined): void {
    if (distance === undefined) {
      this.#unlikeShapes++
      return
    }
    const { aa, bb, ab } = distance
    const cosine = aa === 0 || bb === 0 ? Number(aa === bb) : ab / Math.sqrt(aa * bb)
    this.#pairs++
    this.#elements += distance.count
    this.#maxAbs = Math.max(this.#maxAbs, distance.maxAbs)
    this.#sumAbs += distance.sumAbs
    this.#sumSize += distance.sumSize
    this.#largest = Math.max(this.#largest, distance.largest)
    this.#signal += aa
    this.#noise += distance.noise
    this.#cosines += cosine
    this.#worst = Math.min(this.#worst, cosine)
    this.#notFinite += distance.notFinite
    this.#neither += distance.neither
    this.#outside += distance.outside
  }

  /** The largest magnitude in the first model. */
  get largest(): number {
    return this.#largest
  }

  /**
   * `Σ (a - b)² / Σ a²`, the first model being the signal. Elements count as no smaller than `least`, so that rounding is
   * no error where there is nothing but rounding.
   */
  noiseAbove(least: number): number {
    if (this.#unlikeShapes > 0) return Number.POSITIVE_INFINITY
    return this.#noise === 0 ? 0 : this.#noise / Math.max(this.#signal, this.#elements * least * least)
  }

  #decibels(): number {
    if (this.#pairs === 0) return Number.NaN
    return this.#noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(this.#signal / this.#noise)
  }

  /** Of `samples` samples. */
  result(samples: number): Similarity {
    const worst = this.#pairs === 0 ? 0 : this.#worst
    return {
      samples,
      elements: this.#elements,
      maxAbs: this.#maxAbs,
      meanAbs: this.#sumAbs / Math.max(1, this.#elements),
      relative: this.#sumAbs === 0 ? 0 : this.#sumAbs / this.#sumSize,
      cosine: { mean: this.#cosines / Math.max(1, this.#pairs), worst },
      sqnrDb: this.#decibels(),
      notFinite: this.#notFinite,
      neither: this.#neither,
      outside: this.#outside,
      unlikeShapes: this.#unlikeShapes,
    }
  }
}
