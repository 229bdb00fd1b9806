import type { Sample } from '../data/index.ts'
import type { Tensor } from '../ir/index.ts'
import { isFloat } from '../ir/index.ts'
import type { Session, SessionOptions } from '../runtime/index.ts'
import { openSession } from '../runtime/index.ts'

/** How the outputs of a model resemble those of another, and what it costs. */
export interface Quality {
  readonly samples: number
  /** Mean and smallest cosine of the float outputs of a sample, each output taken as one vector. */
  readonly cosineMean: number
  readonly cosineWorst: number
  /** `10 log10(Σ y² / Σ (y - y')²)` over everything; infinite where nothing differs. */
  readonly sqnrDb: number
  /** Time of the other model over that of the first, one thread, run in turns; the smallest of each sample counts. */
  readonly latencyRatio: number
}

/** What a magnitude beyond this stands for is "minus infinity", in masks and masked scores. */
const largestNumber = 1e30

/** Runs of each model on each sample whose time is taken. */
const timedRuns = 3

/**
 * Runs two models on the same samples. Undefined where there is no sample, or no float output to compare.
 *
 * Throws as sessions do.
 */
export async function compareModels(
  first: string,
  other: string,
  samples: AsyncIterable<Sample>,
  options: SessionOptions = {},
): Promise<Quality | undefined> {
  const sessions = await Promise.all([first, other].map((path) => openSession(path, { threads: 1, ...options })))
  const [a, b] = sessions as [Session, Session]
  const tally = new Tally()
  try {
    for await (const { feeds } of samples) {
      tally.outputs(await a.run(feeds), await b.run(feeds))
      const times: [number, number] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
      for (let run = 0; run < timedRuns; run++)
        for (const [i, session] of sessions.entries())
          times[i] = Math.min(times[i] as number, await session.time(feeds))
      tally.times(...times)
    }
  } finally {
    await Promise.all(sessions.map((session) => session.close()))
  }
  return tally.quality()
}

class Tally {
  #samples = 0
  #cosines: number[] = []
  #signal = 0
  #noise = 0
  #first = 0
  #other = 0

  outputs(first: Readonly<Record<string, Tensor>>, other: Readonly<Record<string, Tensor>>): void {
    this.#samples++
    for (const [name, tensor] of Object.entries(first)) {
      const match = other[name]
      if (!isFloat(tensor.dtype) || !match) continue
      this.#pair(tensor.toNumbers(1 << 28), match.toNumbers(1 << 28))
    }
  }

  #pair(first: readonly number[], other: readonly number[]): void {
    let [product, a, b] = [0, 0, 0]
    for (const [i, x] of first.entries()) {
      const y = other[i] as number
      if (!(Math.abs(x) < largestNumber)) continue
      // What is no number any more, where it was one, is as wrong as can be.
      const z = Math.abs(y) < largestNumber ? y : -x
      product += x * z
      a += x * x
      b += z * z
      this.#noise += (x - z) ** 2
    }
    this.#signal += a
    this.#cosines.push(a === 0 || b === 0 ? Number(a === b) : product / Math.sqrt(a * b))
  }

  times(first: number, other: number): void {
    this.#first += first
    this.#other += other
  }

  quality(): Quality | undefined {
    if (this.#cosines.length === 0) return undefined
    return {
      samples: this.#samples,
      cosineMean: this.#cosines.reduce((sum, x) => sum + x, 0) / this.#cosines.length,
      cosineWorst: this.#cosines.reduce((a, b) => Math.min(a, b), 1),
      sqnrDb: 10 * Math.log10(this.#signal / this.#noise),
      latencyRatio: this.#other / this.#first,
    }
  }
}
