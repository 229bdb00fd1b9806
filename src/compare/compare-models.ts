import type { DataSource } from '../data/source.ts'
import { interrupted } from '../errors.ts'
import type { Tensor } from '../ir/index.ts'
import type { Session, SessionOptions } from '../runtime/index.ts'
import { openSession } from '../runtime/index.ts'
import type { Similarity } from './similarity.ts'
import { isComparable, SimilarityOf } from './similarity.ts'

export interface OutputSimilarity extends Similarity {
  readonly name: string
}

export interface CompareOptions {
  /** Only so many samples, from the first one on; all when absent. */
  readonly samples?: number | undefined
  /** Threads inside an operator. Default 1: the order of sums, and so the last bits, are then the same in every run. */
  readonly threads?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number) => void) | undefined
}

/**
 * Runs two models on the same samples and says how near each float output of the second comes to that of the first.
 *
 * Memory does not grow with the samples. Throws as sessions do, and `interrupted` when `signal` is aborted.
 */
export async function compareModels(
  first: string | Uint8Array,
  second: string | Uint8Array,
  data: Pick<DataSource, 'samples'>,
  options: CompareOptions = {},
): Promise<OutputSimilarity[]> {
  const found = new Map<string, SimilarityOf>()
  await withSessions(first, second, options, async (sessions) => {
    let done = 0
    for await (const { feeds } of data.samples()) {
      if (options.signal?.aborted) throw interrupted()
      const [a, b] = (await Promise.all(
        sessions.map(({ inputs, run }) =>
          run(Object.fromEntries(Object.entries(feeds).filter(([name]) => inputs.includes(name)))),
        ),
      )) as [Outputs, Outputs]
      addPairs(found, a, b)
      options.onProgress?.(++done)
      if (done === options.samples) break
    }
  })
  return Array.from(found, ([name, similarity]) => ({ name, ...similarity.result }))
}

type Outputs = Readonly<Record<string, Tensor>>

function addPairs(found: Map<string, SimilarityOf>, a: Outputs, b: Outputs): void {
  for (const [name, tensor] of Object.entries(a)) {
    const other = b[name]
    if (other === undefined || !isComparable(tensor) || !isComparable(other)) continue
    const known = found.get(name) ?? new SimilarityOf()
    found.set(name, known)
    known.add(tensor, other)
  }
}

async function withSessions(
  first: string | Uint8Array,
  second: string | Uint8Array,
  { threads = 1, signal }: CompareOptions,
  use: (sessions: readonly [Session, Session]) => Promise<void>,
): Promise<void> {
  const options: SessionOptions = { threads, ...(signal && { signal }) }
  const a = await openSession(first, options)
  try {
    const b = await openSession(second, options)
    try {
      await use([a, b])
    } finally {
      await b.close()
    }
  } finally {
    await a.close()
  }
}
