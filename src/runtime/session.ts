import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import {
  interrupted,
  runtimeCrashed,
  runtimeMissing,
  runtimeRefusedInput,
  runtimeRefusedModel,
  runtimeTimedOut,
} from '../errors.ts'
import type { Tensor } from '../ir/index.ts'
import type { PlainTensor } from './tensors.ts'
import { fromPlain, toPlain } from './tensors.ts'

export type Feeds = Readonly<Record<string, Tensor>>

export interface SessionOptions {
  /** Execution providers, best first. Default `['cpu']`. */
  readonly providers?: readonly string[]
  /** How much the runtime may rewrite the graph. Default `all`. */
  readonly optimization?: 'disabled' | 'basic' | 'extended' | 'all'
  /** Threads inside an operator; the runtime's own choice when absent. */
  readonly threads?: number
  /** Whether the runtime keeps memory for the next run, which is faster and takes more of it. Default true. */
  readonly arena?: boolean
  /** Milliseconds a single call may take; a call that takes longer ends the session. No limit when absent. */
  readonly timeout?: number
  /** Ends the session. */
  readonly signal?: AbortSignal
  /**
   * A module of plain JavaScript, loaded into the process of the runtime, whose `reduce(outputs, plan)` makes little of the
   * outputs before they are sent: for {@link Session.reduce}.
   */
  readonly reducer?: URL
}

/** A model loaded in ONNX Runtime, in a process of its own. */
export interface Session {
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Runs the model once. Throws `runtime-input` when the runtime refuses the feeds or fails on them. */
  run(feeds: Feeds, fetches?: readonly string[]): Promise<Record<string, Tensor>>
  /**
   * Runs the model once and gives what the reducer of the session makes of its outputs, by a plan of plain data. Outputs are
   * given to it as `{ type, dims, data }` with the arrays of the runtime; throws as `run` does.
   */
  reduce(feeds: Feeds, fetches: readonly string[], plan: unknown): Promise<unknown>
  /** Milliseconds that one run takes in the process of the runtime. Throws as `run` does. */
  time(feeds: Feeds): Promise<number>
  /** Ends the process. A session that is not closed ends with the program. */
  close(): Promise<void>
}

/** Models loaded in one process, to be run together by a module of plain JavaScript. */
export interface SessionGroup {
  readonly members: readonly Pick<Session, 'inputs' | 'outputs'>[]
  /**
   * Gives what `work(runs, feeds, plan)` of the module makes of a sample: `runs` has a function of feeds and fetches for each
   * model, and `feeds` are tensors of the runtime. Throws as `run` does.
   */
  work(feeds: Feeds, plan: unknown): Promise<unknown>
  close(): Promise<void>
}

/** The feeds a session has inputs for. */
export function feedsFor({ inputs }: Pick<Session, 'inputs'>, feeds: Feeds): Feeds {
  return Object.fromEntries(Object.entries(feeds).filter(([name]) => inputs.includes(name)))
}

/** The version of onnxruntime-node that would be used; `undefined` when it is not installed. It is not loaded. */
export function installedRuntime(): string | undefined {
  try {
    return createRequire(import.meta.url)('onnxruntime-node/package.json').version
  } catch {
    return undefined
  }
}

/**
 * Loads a model, given by path or by its bytes, in ONNX Runtime. External data is found beside a model given by path only.
 *
 * Throws `runtime-missing` when onnxruntime-node is not installed or cannot be loaded, `runtime-model` when it refuses the
 * model, `runtime-crashed` when its process ends.
 */
export async function openSession(model: string | Uint8Array, options: SessionOptions = {}): Promise<Session> {
  const path = typeof model === 'string' ? model : undefined
  const refused = (error: RemoteError) => runtimeRefusedInput(error.message, path)
  const { runtime, members } = await open([model], options)
  const { inputs, outputs } = members[0] as Member
  return {
    inputs,
    outputs,
    async run(feeds, fetches) {
      const results = (await runtime.call({ run: { feeds: plainFeeds(feeds), fetches } }, refused)) as PlainTensors
      return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, fromPlain(name, tensor)]))
    },
    reduce: (feeds, fetches, plan) => runtime.call({ run: { feeds: plainFeeds(feeds), fetches, plan } }, refused),
    time: (feeds) => runtime.call({ time: { feeds: plainFeeds(feeds) } }, refused) as Promise<number>,
    close: () => runtime.end(),
  }
}

/** Loads models in one process, as {@link openSession} loads one; `options.reducer` has the function `work`. */
export async function openTogether(
  models: readonly string[],
  options: SessionOptions & { readonly reducer: URL },
): Promise<SessionGroup> {
  const { runtime, members } = await open(models, options)
  const refused = ({ message, at }: RemoteError) =>
    runtimeRefusedInput(message, at === undefined ? undefined : models[at])
  return {
    members,
    work: (feeds, plan) => runtime.call({ work: { feeds: plainFeeds(feeds), plan } }, refused),
    close: () => runtime.end(),
  }
}

type Member = Pick<Session, 'inputs' | 'outputs'>

async function open(models: readonly (string | Uint8Array)[], options: SessionOptions) {
  if (installedRuntime() === undefined) throw runtimeMissing()
  const runtime = new RuntimeProcess(options)
  try {
    const request = { models, options: ortOptions(options), reducer: options.reducer?.href }
    const members = (await runtime.call({ open: request }, (error) => {
      if (error.code === 'MODULE_NOT_FOUND' || error.code === 'ERR_DLOPEN_FAILED') return runtimeMissing(error.message)
      const model = models[error.at ?? 0]
      return runtimeRefusedModel(error.message, typeof model === 'string' ? model : undefined)
    })) as readonly Member[]
    return { runtime, members }
  } catch (error) {
    await runtime.end()
    throw error
  }
}

type PlainTensors = Readonly<Record<string, PlainTensor>>

function plainFeeds(feeds: Feeds): PlainTensors {
  return Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, toPlain(name, tensor)]))
}

function ortOptions(options: SessionOptions): object {
  return {
    executionProviders: options.providers ?? ['cpu'],
    graphOptimizationLevel: options.optimization ?? 'all',
    logSeverityLevel: 3,
    ...(options.arena === false && { enableCpuMemArena: false, enableMemPattern: false }),
    ...(options.threads === undefined ? {} : { intraOpNumThreads: options.threads }),
  }
}

interface RemoteError {
  readonly message: string
  readonly code?: string
  /** Which of several models it is about. */
  readonly at?: number
}

interface Pending {
  resolve(value: unknown): void
  reject(error: Error): void
  readonly explain: (error: RemoteError) => Error
  readonly timer: NodeJS.Timeout | undefined
}

/** The process behind a session: answers are matched to calls by id, its end fails every call that waits. */
class RuntimeProcess {
  readonly #child: ChildProcess
  readonly #pending = new Map<number, Pending>()
  readonly #timeout: number | undefined
  readonly #ended: Promise<void>
  #stderr = ''
  #next = 0
  #reason: Error | undefined

  constructor({ timeout, signal }: SessionOptions) {
    this.#timeout = timeout
    const program = fileURLToPath(new URL('./child.js', import.meta.url))
    this.#child = fork(program, [], {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: [],
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-2000)
    })
    this.#child.on('message', (answer) => this.#answer(answer as { id: number; value?: unknown; error?: RemoteError }))
    const abort = () => this.#kill(interrupted())
    signal?.addEventListener('abort', abort, { once: true })
    this.#ended = new Promise((resolve) => {
      const end = (how: string) => {
        signal?.removeEventListener('abort', abort)
        this.#fail(this.#reason ?? runtimeCrashed(how, this.#stderr))
        resolve()
      }
      this.#child.on('error', (error) => end(error.message))
      // Not 'close', which does not come after `disconnect`. What the process said last may come just after its exit.
      this.#child.on('exit', (code, killer) => setImmediate(end, killer ?? `exit code ${code}`))
    })
    if (signal?.aborted) abort()
    this.#keepAlive(false)
  }

  call(request: object, explain: (error: RemoteError) => Error): Promise<unknown> {
    if (this.#reason) return Promise.reject(this.#reason)
    const id = this.#next++
    return new Promise((resolve, reject) => {
      const timer =
        this.#timeout === undefined
          ? undefined
          : setTimeout(() => this.#kill(runtimeTimedOut(this.#timeout ?? 0)), this.#timeout)
      this.#pending.set(id, { resolve, reject, explain, timer })
      this.#keepAlive(true)
      // A process that cannot be sent to has ended or is about to; its exit says how.
      this.#child.send({ id, ...request }, (error) => error && this.#child.kill('SIGKILL'))
    })
  }

  async end(): Promise<void> {
    this.#reason ??= runtimeCrashed('the session is closed', '')
    this.#keepAlive(true)
    if (this.#child.connected) this.#child.disconnect()
    // A call in native code does not see that the channel is closed.
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 1000)
    await this.#ended
    clearTimeout(timer)
  }

  #answer({ id, value, error }: { id: number; value?: unknown; error?: RemoteError }): void {
    const call = this.#pending.get(id)
    if (call === undefined) return
    this.#pending.delete(id)
    clearTimeout(call.timer)
    if (this.#pending.size === 0) this.#keepAlive(false)
    if (error) call.reject(call.explain(error))
    else call.resolve(value)
  }

  #kill(reason: Error): void {
    this.#reason ??= reason
    this.#child.kill('SIGKILL')
  }

  #fail(error: Error): void {
    this.#reason ??= error
    for (const call of this.#pending.values()) {
      clearTimeout(call.timer)
      call.reject(this.#reason)
    }
    this.#pending.clear()
  }

  /** An idle session does not keep the program alive, one that is waited for does. */
  #keepAlive(keep: boolean): void {
    for (const handle of [this.#child, this.#child.channel, this.#child.stderr as Socket | null]) {
      if (keep) handle?.ref()
      else handle?.unref()
    }
  }
}
