import { dirname, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { checkModelUnknown, usage } from '../errors.ts'
import type { CheckOptions } from './check.ts'
import type { Lock, LockEntry } from './lock.ts'
import type { ConvertSettings, QuantizeSettings, Settings } from './settings.ts'
import { recorded, relativeTo, replayed, withData } from './settings.ts'

/** One entry to compare or to record. */
export interface Task {
  /** In the lock file. */
  readonly name: string
  /** The path of the model as the lock file has it, and as it leads there from here. */
  readonly model: string
  readonly path: string
  /** With paths that lead there from here. */
  readonly settings: Settings
  /** What was recorded; undefined for what is new. */
  readonly entry: LockEntry | undefined
  /** Whether it is made as it was: then nothing is searched again. */
  readonly keepsChoice: boolean
}

/** A model to record, made in a way of its own; what a search chose stays where the recorded settings are the same. */
export interface ModelToRecord {
  readonly model: string
  readonly convert?: ConvertSettings
  readonly quantize?: QuantizeSettings
}

/** What a call is about. Throws `usage` and `check-model-unknown` for what it cannot be about. */
export function tasksOf(
  models: readonly (string | ModelToRecord)[],
  lock: Lock,
  options: CheckOptions,
  path: string,
): readonly Task[] {
  const { data } = options
  const tasks = tasksIn(
    models.map((model) => (typeof model === 'string' ? { model } : model)),
    lock,
    options,
    path,
  )
  if (data === undefined) return tasks
  return tasks.map((task) => ({ ...task, settings: withData(task.settings, data) }))
}

function tasksIn(models: readonly ModelToRecord[], lock: Lock, options: CheckOptions, path: string): readonly Task[] {
  const folder = dirname(path)
  const asked = settingsIn(options) ?? models.map(settingsIn).find((own) => own !== undefined)
  if (!options.update) {
    const idle = asked ? asked.command : (['name', 'thresholds'] as const).find((name) => options[name] !== undefined)
    if (idle !== undefined)
      throw usage(`how a model is made is written in "${path}"`, 'Change it with --update and all of its options.')
    return models.length === 0 ? allOf(lock, folder) : models.flatMap(({ model }) => found(model, lock, folder, path))
  }
  if (models.length === 0) {
    if (asked || lock.size === 0) throw usage('no model is named', 'Name an ONNX file: check MODEL --update.')
    return allOf(lock, folder)
  }
  if (options.name !== undefined && models.length > 1) throw usage('a name is for one model', 'Give one model with it.')
  return models.flatMap((model) => toRecord(model, lock, options, folder))
}

function settingsIn({ convert, quantize }: Pick<CheckOptions, 'convert' | 'quantize'>): Settings | undefined {
  if (convert && quantize) throw usage('a model is either converted or only quantized')
  if (quantize) return { command: 'quantize', options: quantize }
  return convert && { command: 'convert', options: convert }
}

function allOf(lock: Lock, folder: string): readonly Task[] {
  return Array.from(lock, ([name, entry]) => again(name, entry, folder))
}

/** An entry as it was recorded. */
function again(name: string, entry: LockEntry, folder: string): Task {
  const { model } = entry
  const { command, options } = entry
  const settings = replayed({ command, options } as Settings, undefined, folder)
  return { name, model, path: join(folder, model), settings, entry, keepsChoice: true }
}

/** By name, or all entries of a path. */
function found(model: string, lock: Lock, folder: string, path: string): readonly Task[] {
  const tasks = matching(model, lock, folder)
  if (tasks.length === 0) throw checkModelUnknown(model, path, [...lock.keys()])
  return tasks
}

function matching(model: string, lock: Lock, folder: string): readonly Task[] {
  const named = lock.get(model)
  if (named) return [again(model, named, folder)]
  const place = relativeTo(folder, model)
  return [...lock].filter(([, entry]) => entry.model === place).map(([name, entry]) => again(name, entry, folder))
}

function toRecord(one: ModelToRecord, lock: Lock, options: CheckOptions, folder: string): readonly Task[] {
  const { model } = one
  const own = settingsIn(one)
  const asked = own ?? settingsIn(options)
  const known = options.name === undefined ? matching(model, lock, folder) : []
  if (known.length > 0 && asked === undefined) return known
  const [first, second] = known
  if (first && !second && own && isRecorded(own, first, folder)) return known
  if (second) throw usage(`"${model}" has several entries`, 'Say which by its name: check NAME --update.')
  const place = first?.model ?? relativeTo(folder, model)
  const name = first?.name ?? options.name ?? place
  const settings: Settings = asked ?? { command: 'convert', options: {} }
  const path = first?.path ?? model
  return [{ name, model: place, path, settings, entry: lock.get(name), keepsChoice: false }]
}

function isRecorded(settings: Settings, { entry }: Task, folder: string): boolean {
  const { command, options } = recorded(settings, folder)
  return isDeepStrictEqual([command, options], [entry?.command, entry?.options])
}
