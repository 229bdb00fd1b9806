import { ConvertError, runtimeBrokenModel } from '../errors.ts'
import type { Model, Tensor } from '../ir/index.ts'
import { isFloat } from '../ir/index.ts'
import type { Sizes } from './feeds.ts'
import { generateFeeds } from './feeds.ts'
import type { Feeds, Session, SessionOptions } from './session.ts'
import { openSession } from './session.ts'

/** What came of running a converted model once. The model did load. */
export type Trial = { readonly ran: true } | { readonly ran: false; readonly reason: string }

export interface TrialInput {
  /** The structure of the converted model, for its declared inputs. */
  readonly model: Model
  readonly path: string
  /** The model it came from, which tells a bad input from a bad conversion. */
  readonly original: string | Uint8Array
}

/** Tried in order until one runs: models differ in which sizes they accept where they declare none. */
const guesses: readonly Sizes[] = [
  { batch: 2, other: 8, past: 4 },
  { batch: 1, other: 8, past: 4 },
  { batch: 1, other: 1, past: 4 },
  { batch: 1, other: 64, past: 64 },
  { batch: 1, other: 224, past: 0 },
  { batch: 1, other: 1, past: 0 },
]

/**
 * Loads the converted model and runs it once on small seeded input.
 *
 * Throws `runtime-model` when it does not load, and `runtime-broken` when the original runs on an input on which the
 * converted model fails or gives NaN. An input that the original does not run on either proves nothing: the next is tried.
 */
export async function tryConverted(
  { model, path, original }: TrialInput,
  options: SessionOptions = {},
): Promise<Trial> {
  const converted = await openSession(path, options)
  let reference: Session | undefined
  try {
    let reason = ''
    for (const sizes of guesses) {
      const { feeds, refused } = generateFeeds(model, sizes, 1)
      if (refused !== undefined) {
        reason = refused
        continue
      }
      const got = await outcome(converted, feeds)
      if (typeof got !== 'string' && nanOutputs(got).length === 0) return { ran: true }
      reference ??= await openSession(original, options)
      const expected = await outcome(reference, feeds)
      if (typeof expected === 'string') {
        reason = expected
        continue
      }
      if (typeof got === 'string')
        throw runtimeBrokenModel(`the converted model fails where the original runs: ${got}`, path)
      const before = new Set(nanOutputs(expected))
      const broken = nanOutputs(got).find((name) => !before.has(name))
      if (broken !== undefined)
        throw runtimeBrokenModel(`output "${broken}" is NaN where the original is a number`, path)
      return { ran: true }
    }
    return { ran: false, reason }
  } finally {
    await converted.close()
    await reference?.close()
  }
}

/** The outputs, or why the runtime refuses the feeds. */
async function outcome(session: Session, feeds: Feeds): Promise<Record<string, Tensor> | string> {
  try {
    return await session.run(feeds)
  } catch (error) {
    if (error instanceof ConvertError && error.code === 'runtime-input') return error.message
    throw error
  }
}

function nanOutputs(outputs: Readonly<Record<string, Tensor>>): string[] {
  const small = (tensor: Tensor) => isFloat(tensor.dtype) && tensor.size <= 1 << 20
  return Object.entries(outputs)
    .filter(([, tensor]) => small(tensor) && tensor.toNumbers().some(Number.isNaN))
    .map(([name]) => name)
}
