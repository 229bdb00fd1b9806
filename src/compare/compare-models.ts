import type { Sample } from '../data/source.ts'
import { interrupted } from '../errors.ts'
import type { Tensor } from '../ir/index.ts'
import { bitsOf, dtypes, isFloat } from '../ir/index.ts'
import type { Feeds, Session, SessionOptions } from '../runtime/index.ts'
import { feedsFor, openSession } from '../runtime/index.ts'
import type { Agreement } from './agreement.ts'
import { Choices, classesOf } from './agreement.ts'
import type { Numbers, Within } from './distances.js'
import type { Similarity } from './similarity.ts'
import { Resemblance } from './similarity.ts'

export interface OutputSimilarity extends Similarity {
  readonly name: string
  /** Of a distribution over classes. */
  readonly agreement?: Agreement
}

export interface Comparison {
  readonly samples: number
  /** Every float output that both have, in the order of the first model. */
  readonly outputs: readonly OutputSimilarity[]
  /** All of them together; undefined where there is none. */
  readonly all: Similarity | undefined
  /** Outputs that both have and that are numbers but no floats. */
  readonly integers: readonly OutputSimilarity[]
  /** Outputs that were not compared, with the reason. */
  readonly uncompared: readonly { readonly name: string; readonly reason: string }[]
  /** Time of the second model over that of the first, run in turns, the least of each sample; undefined unless asked for. */
  readonly latencyRatio: number | undefined
  /** Milliseconds a sample takes in the first and the second model, the mean of the least of each; undefined unless asked for. */
  readonly milliseconds: readonly [number, number] | undefined
}

export interface CompareOptions {
  /** Only so many samples, from the first one on; all when absent. */
  readonly samples?: number | undefined
  /** Take times too. */
  readonly timed?: boolean | undefined
  /**
   * Have one model in memory at a time, and the outputs of the first for all samples; times are then taken one after the
   * other. Default false.
   */
  readonly apart?: boolean | undefined
  /** Let the runtime take no kernels of integers for Q/DQ of the second model: what it computes is what they say. */
  readonly asItStands?: boolean | undefined
  /** Classes of a distribution that count as the best ones. Default 5. */
  readonly top?: number | undefined
  /** How far elements of an output may be apart; those further apart are counted. */
  readonly within?: ((output: string) => Within | undefined) | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number) => void) | undefined
}

/** Runs of each model on each sample whose time is taken. */
const timedRuns = 3

/**
 * Runs two models on the same samples and says how near each float output of the second comes to that of the first. One
 * thread, so that the order of sums, and with it the last bits, are the same in every run; memory does not grow with the
 * samples.
 *
 * Throws as sessions do, and `interrupted` when `signal` is aborted.
 */
export async function compareModels(
  first: string | Uint8Array,
  second: string | Uint8Array,
  samples: AsyncIterable<Sample>,
  options: CompareOptions = {},
): Promise<Comparison> {
  if (options.apart) return compareApart(first, second, samples, options)
  const baseline = await Baseline.open(first, options.signal)
  try {
    return await baseline.compare(second, samples, options)
  } finally {
    await baseline.close()
  }
}

async function compareApart(
  first: string | Uint8Array,
  second: string | Uint8Array,
  samples: AsyncIterable<Sample>,
  options: CompareOptions,
): Promise<Comparison> {
  const [tally, known] = [new Tally(options), [] as RanSample[]]
  await withSession(first, sessionOptions(options.signal), async (session) => {
    for await (const { feeds } of samples) {
      known.push(await ran(session, feeds, options))
      if (known.length === options.samples) break
    }
  })
  await withSession(second, secondOptions(options), async (session) => {
    for (const { feeds, outputs, time } of known) {
      const other = await ran(session, feeds, options)
      tally.outputs(outputs, other.outputs)
      if (options.timed) tally.times([time, other.time])
      options.onProgress?.(tally.samples)
    }
  })
  return tally.result(options.timed ?? false)
}

interface RanSample {
  readonly feeds: Feeds
  readonly outputs: Outputs
  readonly time: number
}

async function ran(session: Session, feeds: Feeds, { timed, signal }: CompareOptions): Promise<RanSample> {
  if (signal?.aborted) throw interrupted()
  const outputs = await session.run(feedsFor(session, feeds))
  const [time = 0] = timed ? await timesOf([session], feeds) : []
  return { feeds, outputs, time }
}

async function withSession(
  model: string | Uint8Array,
  options: SessionOptions,
  use: (session: Session) => Promise<void>,
): Promise<void> {
  const session = await openSession(model, options)
  try {
    await use(session)
  } finally {
    await session.close()
  }
}

/** The model that others are compared with, one after the other; it is opened once. */
export class Baseline {
  readonly #session: Session

  private constructor(session: Session) {
    this.#session = session
  }

  static async open(model: string | Uint8Array, signal?: AbortSignal): Promise<Baseline> {
    return new Baseline(await openSession(model, sessionOptions(signal)))
  }

  async compare(
    second: string | Uint8Array,
    samples: AsyncIterable<Sample>,
    options: CompareOptions = {},
  ): Promise<Comparison> {
    const session = await openSession(second, secondOptions(options))
    try {
      return await compareSessions([this.#session, session], samples, options)
    } finally {
      await session.close()
    }
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}

function sessionOptions(signal: AbortSignal | undefined): SessionOptions {
  return { threads: 1, ...(signal && { signal }) }
}

/** Kernels of integers are taken for Q/DQ from the level extended on. */
function secondOptions({ signal, asItStands }: CompareOptions): SessionOptions {
  return { ...sessionOptions(signal), ...(asItStands && { optimization: 'basic' }) }
}

async function compareSessions(
  sessions: readonly Session[],
  samples: AsyncIterable<Sample>,
  options: CompareOptions,
): Promise<Comparison> {
  const tally = new Tally(options)
  for await (const { feeds } of samples) {
    if (options.signal?.aborted) throw interrupted()
    const [a, b] = await Promise.all(sessions.map((session) => session.run(feedsFor(session, feeds))))
    tally.outputs(a as Outputs, b as Outputs)
    if (options.timed) tally.times(await timesOf(sessions, feeds))
    options.onProgress?.(tally.samples)
    if (tally.samples === options.samples) break
  }
  return tally.result(options.timed ?? false)
}

type Outputs = Readonly<Record<string, Tensor>>

/** The least time of each, over some runs in turns. */
async function timesOf(sessions: readonly Session[], feeds: Feeds): Promise<readonly number[]> {
  const least = sessions.map(() => Number.POSITIVE_INFINITY)
  for (let run = 0; run < timedRuns; run++) {
    for (const [i, session] of sessions.entries())
      least[i] = Math.min(least[i] as number, await session.time(feedsFor(session, feeds)))
  }
  return least
}

/** Outputs are small beside a model: a token, a vector or a picture. */
const largestOutput = 1 << 28

class Tally {
  samples = 0
  readonly #options: CompareOptions
  readonly #outputs = new Map<string, Resemblance>()
  readonly #integers = new Map<string, Resemblance>()
  readonly #choices = new Map<string, Choices | undefined>()
  readonly #uncompared = new Map<string, string>()
  readonly #all = new Resemblance()
  readonly #times = [0, 0]

  constructor(options: CompareOptions) {
    this.#options = options
  }

  outputs(first: Outputs, second: Outputs): void {
    this.samples++
    for (const [name, tensor] of Object.entries(first)) {
      const other = second[name]
      if (other === undefined) this.#uncompared.set(name, 'the second model has no output of that name')
      else if (tensor.strings !== undefined || other.strings !== undefined) this.#uncompared.set(name, 'it is text')
      else this.#output(name, tensor, other)
    }
    for (const name of Object.keys(second))
      if (first[name] === undefined) this.#uncompared.set(name, 'the first model has no output of that name')
  }

  #output(name: string, tensor: Tensor, other: Tensor): void {
    const group = isFloat(tensor.dtype) ? this.#outputs : this.#integers
    const known = group.get(name) ?? new Resemblance()
    group.set(name, known)
    if (String(tensor.dims) !== String(other.dims)) {
      known.addDistance(undefined)
      return
    }
    const [a, b] = [elementsOf(tensor), elementsOf(other)]
    const within = this.#options.within?.(name)
    if (group === this.#integers) {
      known.add(a, b, within ?? { atol: 0, rtol: 0 })
      return
    }
    known.add(a, b, within)
    this.#all.add(a, b)
    if (!this.#choices.has(name)) {
      const classes = classesOf(name, tensor.dims, a)
      this.#choices.set(name, classes === undefined ? undefined : new Choices(classes, this.#options.top ?? 5))
    }
    this.#choices.get(name)?.add(a, b)
  }

  times(milliseconds: readonly number[]): void {
    for (const [i, time] of milliseconds.entries()) this.#times[i] = (this.#times[i] as number) + time
  }

  result(timed: boolean): Comparison {
    const [first, second] = this.#times as [number, number]
    const { samples } = this
    return {
      samples,
      outputs: this.#results(this.#outputs),
      all: this.#outputs.size === 0 ? undefined : this.#all.result(samples),
      integers: this.#results(this.#integers),
      uncompared: Array.from(this.#uncompared, ([name, reason]) => ({ name, reason })),
      latencyRatio: timed ? second / first : undefined,
      milliseconds: timed ? [first / samples, second / samples] : undefined,
    }
  }

  #results(group: ReadonlyMap<string, Resemblance>): OutputSimilarity[] {
    return Array.from(group, ([name, resemblance]) => {
      const agreement = this.#choices.get(name)?.result()
      return { name, ...resemblance.result(this.samples), ...(agreement && { agreement }) }
    })
  }
}

/** The elements of an output, without a copy of them as numbers where they are floats. */
function elementsOf(tensor: Tensor): Numbers {
  const { dtype, payload } = tensor
  if (payload === undefined || (dtype !== dtypes.float && dtype !== dtypes.double))
    return tensor.toNumbers(largestOutput)
  const bytes = payload.read(0, payload.byteLength)
  const aligned = bytes.byteOffset % ((bitsOf(dtype) ?? 8) / 8) === 0 ? bytes : bytes.slice()
  const elements = [aligned.buffer, aligned.byteOffset, tensor.size] as const
  return dtype === dtypes.float
    ? new Float32Array(...(elements as [ArrayBuffer, number, number]))
    : new Float64Array(...(elements as [ArrayBuffer, number, number]))
}
