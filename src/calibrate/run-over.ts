import type { DataSource } from '../data/index.ts'
import { interrupted } from '../errors.ts'
import type { Model, Tensor } from '../ir/index.ts'
import type { Session, SessionOptions } from '../runtime/index.ts'
import { feedsFor, openSession } from '../runtime/index.ts'
import { withFile } from './temporary-model.ts'

export interface RunOptions extends SessionOptions {
  /** Outputs to fetch; all when absent. */
  readonly fetches?: readonly string[] | undefined
  /** After every sample: how many are done. */
  readonly onSample?: ((done: number) => void) | undefined
}

/**
 * Runs a model, as it stands, over data in a process of its own, one sample after the other, and shows the outputs of each
 * to `visit`; nothing is kept.
 *
 * Throws as sessions do, and `interrupted` when `options.signal` is aborted.
 */
export async function runOver(
  model: Model,
  data: Pick<DataSource, 'samples'>,
  visit: (sampleIndex: number, outputs: Record<string, Tensor>) => void | Promise<void>,
  options: RunOptions = {},
): Promise<void> {
  await withSession(model, options, async (session) => {
    let done = 0
    for await (const { index, feeds } of data.samples()) {
      if (options.signal?.aborted) throw interrupted()
      await visit(index, await session.run(feedsFor(session, feeds), options.fetches))
      options.onSample?.(++done)
    }
  })
}

/** Gives `use` a session on a model as it stands. */
export async function withSession<T>(
  model: Model,
  options: SessionOptions,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  return withFile(model, async (path) => {
    const session = await openSession(path, options)
    try {
      return await use(session)
    } finally {
      await session.close()
    }
  })
}
