import { ConvertError, runtimeBrokenModel, runtimeRefusesBoth } from '../errors.ts'
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
  /** The model it came from, which tells a bad input from a bad conversion. Without it, a run that fails proves nothing. */
  readonly original: string | Uint8Array | undefined
}

type Outputs = Readonly<Record<string, Tensor>>

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
 * Throws `runtime-model` when it does not load, `runtime-neither` when the original does not either, and `runtime-broken`
 * when the original runs on an input on which the converted model fails or gives NaN. An input that the original does not
 * run on proves nothing: the next is tried.
 */
export async function tryConverted(
  { model, path, original }: TrialInput,
  options: SessionOptions = {},
): Promise<Trial> {
  const converted = await openConverted(path, original, options)
  let reference: Session | undefined
  try {
    let reason = ''
    for (const sizes of guesses) {
      const { feeds, refused } = generateFeeds(model, sizes, 1)
      if (feeds === undefined) {
        reason = refused
        continue
      }
      const got = await outcome(converted, feeds)
      const nans = typeof got === 'string' ? [] : nanOutputs(got)
      if (typeof got !== 'string' && nans.length === 0) return { ran: true }
      if (original === undefined) {
        reason = typeof got === 'string' ? got : `output "${nans[0]}" is NaN`
        continue
      }
      reference ??= await openSession(original, options)
      const expected = await outcome(reference, feeds)
      if (typeof expected !== 'string') {
        refuseBroken(got, expected, path)
        return { ran: true }
      }
      reason = expected
    }
    return { ran: false, reason }
  } finally {
    await converted.close()
    await reference?.close()
  }
}

/** Refuses a conversion that is worse than its original on the same input. */
function refuseBroken(got: Outputs | string, expected: Outputs, path: string): void {
  if (typeof got === 'string')
    throw runtimeBrokenModel(`the converted model fails where the original runs: ${got}`, path)
  const before = new Set(nanOutputs(expected))
  const broken = nanOutputs(got).find((name) => !before.has(name))
  if (broken !== undefined) throw runtimeBrokenModel(`output "${broken}" is NaN where the original is a number`, path)
}

/** A model that does not load is no fault of the conversion when the original does not load either. */
async function openConverted(
  path: string,
  original: TrialInput['original'],
  options: SessionOptions,
): Promise<Session> {
  try {
    return await openSession(path, options)
  } catch (error) {
    if (!isRefusal(error) || original === undefined) throw error
    const reference = await openSession(original, options).catch((refused) => refused)
    if (isRefusal(reference)) throw runtimeRefusesBoth(reference.message, path)
    if (!(reference instanceof Error)) await reference.close()
    throw error
  }
}

function isRefusal(error: unknown): error is ConvertError {
  return error instanceof ConvertError && error.code === 'runtime-model'
}

/** The outputs, or why the runtime refuses the feeds. */
async function outcome(session: Session, feeds: Feeds): Promise<Outputs | string> {
  try {
    return await session.run(feeds)
  } catch (error) {
    if (error instanceof ConvertError && error.code === 'runtime-input') return error.message
    throw error
  }
}

function nanOutputs(outputs: Outputs): string[] {
  const small = (tensor: Tensor) => isFloat(tensor.dtype) && tensor.size <= 1 << 20
  return Object.entries(outputs)
    .filter(([, tensor]) => small(tensor) && tensor.toNumbers().some(Number.isNaN))
    .map(([name]) => name)
}
