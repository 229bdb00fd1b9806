/** A check on one screen: read what was recorded, find out what is, compare; or record it. */
import { dirname } from 'node:path'
import { programOf, Store } from '../cache/index.ts'
import { checkOptions, optionKinds } from '../check-options.ts'
import { ConvertError, checkLockMissing } from '../errors.ts'
import type { CheckDocument, CheckedModel } from '../report/check.ts'
import type { Advice } from './drift.ts'
import { compareFacts, keptFacts } from './drift.ts'
import type { Facts } from './facts.ts'
import type { LockEntry, MadeWith } from './lock.ts'
import { defaultLock, readLock, writeLock } from './lock.ts'
import type { ConvertSettings, QuantizeSettings } from './settings.ts'
import { recorded } from './settings.ts'
import type { Findings } from './subject.ts'
import { lookAt, searches } from './subject.ts'
import type { ModelToRecord, Task } from './tasks.ts'
import { tasksOf } from './tasks.ts'
import type { Thresholds } from './thresholds.ts'
import { defaultSlack } from './thresholds.ts'

export interface CheckOptions {
  /** The file with what was recorded. Default `outeffhop.lock.json`; paths in it are relative to its folder. */
  readonly lock?: string | undefined
  /** Record what is, in the place of comparing it with what was recorded. */
  readonly update?: boolean | undefined
  /** With `update`: how the models are made. Default: as they were, or by a conversion without options. */
  readonly convert?: ConvertSettings | undefined
  /** With `update`: the models are quantized, their attention left as it is. */
  readonly quantize?: QuantizeSettings | undefined
  /** With `update`: a name other than the path, for a second entry of one model. */
  readonly name?: string | undefined
  /** With `update`: what the outputs have to keep, beside what the entry has already. */
  readonly thresholds?: Thresholds | undefined
  /** Where the data is, when it is not where it was; with `update` that is recorded. */
  readonly data?: string | undefined
  /** A folder of earlier findings, with which a check of unchanged files makes nothing. */
  readonly cache?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((name: string, phase: string, done: number, total: number) => void) | undefined
}

const checkKinds = {
  ...{ lock: optionKinds.text, name: optionKinds.text, data: optionKinds.text, cache: optionKinds.text },
  ...{ convert: optionKinds.settings, quantize: optionKinds.settings, thresholds: optionKinds.settings },
  ...{ update: optionKinds.flag, signal: optionKinds.signal, onProgress: optionKinds.work },
}

/**
 * Makes models again by the options that a lock file has, and compares what comes out with what was recorded: operators,
 * the verdict and form of every softmax, quantized products, errors on data. Without `models`, all entries of the lock file.
 * With `update`, a model may come with settings of its own, in the place of those of the call.
 *
 * A model that cannot be checked is `failed` in the document, and the others are checked. Throws `check-lock-missing` where
 * nothing was recorded, `usage`, and `interrupted`.
 */
export async function check(
  models: readonly (string | ModelToRecord)[],
  options: CheckOptions = {},
): Promise<CheckDocument> {
  checkOptions(options, checkKinds)
  const { lock: path = defaultLock, update = false } = options
  const lock = readLock(path)
  if (lock === undefined && !update)
    throw checkLockMissing(
      path,
      models.map((model) => (typeof model === 'string' ? model : model.model)),
    )
  const tasks = tasksOf(models, lock ?? new Map(), options, path)
  const run = new Run(dirname(path), options)
  const results: CheckedModel[] = []
  for (const task of tasks) results.push(await run.guarded(task))
  const written = update && run.entries.size > 0 && (await writeLock(path, run.entries))
  const ok = results.every(({ outcome }) => outcome === 'unchanged' || outcome === 'recorded')
  return { schema: 1, command: 'check', lock: path, written, ok, models: results }
}

class Run {
  /** What is to be recorded. */
  readonly entries = new Map<string, LockEntry>()
  readonly #folder: string
  readonly #options: CheckOptions
  readonly #store: Store | undefined

  constructor(folder: string, options: CheckOptions) {
    this.#folder = folder
    this.#options = options
    this.#store = options.cache === undefined ? undefined : new Store(options.cache)
  }

  /** A model that cannot be checked is a result; a fault of ours and an interruption are not. */
  async guarded(task: Task): Promise<CheckedModel> {
    try {
      return await (this.#options.update ? this.#record(task) : this.#compare(task))
    } catch (error) {
      if (!(error instanceof ConvertError) || error.kind === 'bug' || error.kind === 'interrupted') throw error
      const { code, kind, message, hint = null } = error
      const failure = { code, kind, message, hint }
      return { ...this.#result(task), outcome: 'failed', error: failure }
    }
  }

  async #compare(task: Task): Promise<CheckedModel> {
    const entry = task.entry as LockEntry
    const found = await this.#look(task, entry.chosen, 'facts')
    const facts = compareFacts(entry, found.facts, entry, this.#advice(task))
    const outcome = facts.every(({ ok }) => ok) ? 'unchanged' : 'drift'
    const notes = [...versionNotes(entry.madeWith), ...dataNotes(found.facts), ...found.notes, ...this.#damage()]
    return { ...this.#result(task), outcome, cached: found.cached, facts, notes }
  }

  async #record(task: Task): Promise<CheckedModel> {
    const { entry, model } = task
    const chosen = task.keepsChoice ? entry?.chosen : undefined
    // What was searched is made again from what is written down: that is what later checks do.
    const first =
      searches(task.settings) && chosen === undefined ? await this.#look(task, undefined, 'thrown') : undefined
    const found = await this.#look(task, first?.chosen ?? chosen, 'thrown')
    const thresholds = { ...entry?.thresholds, ...this.#options.thresholds }
    const tolerances = { thresholds, slack: entry?.slack ?? defaultSlack }
    const broken = compareFacts(found.facts, found.facts, tolerances, this.#advice(task)).filter(({ ok }) => !ok)
    if (broken.length > 0) return { ...this.#result(task), outcome: 'drift', facts: broken, notes: found.notes }
    const facts =
      entry === undefined || isOther(entry, found.facts) ? found.facts : keptFacts(entry, found.facts, tolerances)
    const settings = recorded(task.settings, this.#folder)
    const { chosen: made } = found
    const own = { ...(made && { chosen: made }), madeWith: madeWithNow(), ...tolerances }
    this.entries.set(task.name, { model, ...settings, ...own, ...facts })
    const notes = [...dataNotes(found.facts), ...found.notes, ...this.#damage()]
    return { ...this.#result(task), outcome: 'recorded', cached: found.cached, notes }
  }

  #look({ name, settings, path }: Task, chosen: LockEntry['chosen'], refusals: 'facts' | 'thrown'): Promise<Findings> {
    const { signal, onProgress } = this.#options
    return lookAt(
      { path, settings, chosen },
      {
        ...{ store: this.#store, refusals, signal },
        onProgress: (phase, done, total) => onProgress?.(name, phase, done, total),
      },
    )
  }

  #advice({ name, path }: Task): Advice {
    const lock = this.#options.lock === undefined ? '' : ` --lock ${quoted(this.#options.lock)}`
    return {
      explain: `outeffhop-convert explain ${quoted(path)}`,
      record: `outeffhop-convert check ${quoted(name)} --update${lock}`,
    }
  }

  #result({ name, path }: Task): Omit<CheckedModel, 'outcome'> {
    return { name, model: path, cached: false, facts: [], notes: [], error: null }
  }

  #damage(): string[] {
    const damaged = this.#store?.damaged.splice(0) ?? []
    return damaged.length === 0 ? [] : ['a damaged entry of the cache was thrown away']
  }
}

/** A word of a command line. */
function quoted(word: string): string {
  return /^[\w./:\\@+-]+$/.test(word) ? word : `"${word}"`
}

/** Numbers of another model or other data have nothing to do with those that were recorded. */
function isOther(entry: LockEntry, facts: Facts): boolean {
  const same = ({ files, data }: Facts) => JSON.stringify([files, data])
  return same(entry) !== same(facts)
}

function madeWithNow(): MadeWith {
  const { version, runtime } = programOf()
  return { 'outeffhop-convert': version, 'onnxruntime-node': runtime }
}

function versionNotes(was: MadeWith): string[] {
  const is = madeWithNow()
  const names = ['outeffhop-convert', 'onnxruntime-node'] as const
  return names
    .filter((name) => was[name] !== is[name])
    .map((name) => `recorded with ${name} ${was[name] ?? '(not installed)'}, checked with ${is[name] ?? 'none'}`)
}

function dataNotes({ data }: Facts): string[] {
  return data === null ? ['there is no data: the outputs were not compared (record some with --data)'] : []
}
