import { Resemblance } from '../compare/similarity.ts'
import type { DataSource } from '../data/index.ts'
import { interrupted } from '../errors.ts'
import type { Tensor } from '../ir/index.ts'
import { dtypes } from '../ir/index.ts'
import { finite } from '../report/index.ts'
import type { Session, SessionOptions } from '../runtime/index.ts'
import { feedsFor, openSession } from '../runtime/index.ts'
import { Sketch } from './sketch.ts'

/** What is known of an output of a model, and of the same output of what was made of it. */
export interface OutputFacts {
  /** What the model itself gives: the root of the mean square, and projections that stand for all elements. */
  readonly own: { readonly rms: number; readonly sketch: readonly number[] }
  /** How far the result is from it; the SQNR is null where nothing differs. */
  readonly error: {
    readonly sqnrDb: number | null
    readonly cosineMean: number
    readonly cosineWorst: number
    readonly meanAbs: number
    readonly maxAbs: number
    readonly notFinite: number
  }
}

/**
 * Runs a model and what was made of it on the same samples, one thread each, so that the last bits are the same in every
 * run on a machine. Outputs of text are left out, and those that only one has. Throws as sessions do.
 */
export async function measureOutputs(
  model: string,
  result: string,
  data: DataSource,
  signal: AbortSignal | undefined,
): Promise<Record<string, OutputFacts>> {
  const options: SessionOptions = { threads: 1, ...(signal && { signal }) }
  const sessions: Session[] = []
  try {
    for (const path of [model, result]) sessions.push(await openSession(path, options))
    const tallies = new Map<string, Tally>()
    for await (const { feeds } of data.samples()) {
      if (signal?.aborted) throw interrupted()
      const [own = {}, made = {}] = await Promise.all(sessions.map((session) => session.run(feedsFor(session, feeds))))
      for (const [name, tensor] of Object.entries(own)) {
        const other = made[name]
        if (tensor.dtype === dtypes.string || other === undefined) continue
        const tally = tallies.get(name) ?? new Tally()
        tallies.set(name, tally.add(tensor, other))
      }
    }
    return Object.fromEntries(Array.from(tallies, ([name, tally]) => [name, tally.facts()]))
  } finally {
    for (const session of sessions) await session.close()
  }
}

/** Outputs are small beside a model: a token, a vector or a picture. */
const largestOutput = 1 << 28

class Tally {
  #samples = 0
  readonly #sketch = new Sketch()
  readonly #resemblance = new Resemblance()

  add(own: Tensor, made: Tensor): this {
    const [a, b] = [own.toNumbers(largestOutput), made.toNumbers(largestOutput)]
    this.#samples++
    this.#sketch.add(a)
    this.#resemblance.add(a, b)
    return this
  }

  facts(): OutputFacts {
    const { sqnrDb, cosine, meanAbs, maxAbs, notFinite } = this.#resemblance.result(this.#samples)
    const { rms, projections } = this.#sketch.result()
    return {
      own: { rms: rounded(rms), sketch: projections.map(rounded) },
      error: {
        sqnrDb: finite(rounded(sqnrDb)),
        cosineMean: rounded(cosine.mean),
        cosineWorst: rounded(cosine.worst),
        meanAbs: rounded(meanAbs),
        maxAbs: rounded(maxAbs),
        notFinite,
      },
    }
  }
}

/** Digits beyond these are those of a machine; a cosine near 1 needs them. */
function rounded(value: number): number {
  return Number(value.toPrecision(8))
}
