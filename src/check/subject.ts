import type { Store } from '../cache/index.ts'
import { hashesOf, hashOfFile, keyOf, programOf } from '../cache/index.ts'
import { checkOptions } from '../check-options.ts'
import type { DataSource } from '../data/index.ts'
import { openData } from '../data/index.ts'
import { ConvertError } from '../errors.ts'
import { split } from '../held-out.ts'
import { closeModel, openModel } from '../onnx/index.ts'
import { convertKinds, quantizeKinds } from '../option-kinds.ts'
import type { Watch } from './build.ts'
import { refusal, refusedFacts, withMade } from './build.ts'
import type { Facts } from './facts.ts'
import { measureOutputs } from './outputs.ts'
import type { Chosen, Settings } from './settings.ts'
import { dataOf, replayed } from './settings.ts'

/** A model to look at, and how it is made, with paths that lead there from here. */
export interface Subject {
  readonly path: string
  readonly settings: Settings
  readonly chosen: Chosen | undefined
}

/** What was found out about a subject. */
export interface Findings {
  readonly facts: Facts
  readonly chosen: Chosen | undefined
  readonly cached: boolean
  readonly notes: readonly string[]
}

interface Context extends Watch {
  /** Where earlier findings are; undefined where none are to be used. */
  readonly store: Store | undefined
  /** A refusal is a fact; it is thrown where nothing was recorded yet. */
  readonly refusals: 'facts' | 'thrown'
}

/**
 * What is true of a model now: from an earlier look at the same files, data, settings and program, else by making it again
 * and running it. Throws as opening models and data, making and running do.
 */
export async function lookAt(subject: Subject, context: Context): Promise<Findings> {
  const { path, settings, chosen } = subject
  if (settings.command === 'convert') checkOptions(settings.options, convertKinds)
  else checkOptions(settings.options, quantizeKinds)
  const model = openModel(path)
  try {
    const files = await hashesOf(model, context.signal)
    const choice = dataOf(settings)
    const { signal } = context
    const data = choice && (await openData(choice.spec, model, { ...choice.options, signal }))
    const given = {
      files: Object.fromEntries(files.map(({ name, sha256 }) => [name, sha256])),
      data: data ? dataFacts(data) : null,
    }
    const replay = replayed(settings, chosen, '.')
    // A module may give what no file says.
    const store = data?.manifest.kind === 'module' ? undefined : context.store
    const key = store && (await keyFor(given, replay, signal))
    const known = key === undefined ? undefined : await store?.get(key)
    if (known) return { ...(known.value as Pick<Findings, 'facts' | 'chosen'>), cached: true, notes: [] }
    const made = await make(path, replay, data, context)
    const found = { facts: { ...given, ...made.facts }, chosen: made.chosen }
    const note = key && made.facts.refused === null ? await keep(store, key, subject, found) : []
    return { ...found, cached: false, notes: note }
  } finally {
    closeModel(model)
  }
}

/** Whether a choice is made among recipes or products, by measuring. */
export function searches(settings: Settings): boolean {
  const { recipe, maxDrop } = quantizationIn(settings)
  return recipe === 'auto' || isModel(recipe) || maxDrop !== undefined
}

function quantizationIn({ command, options }: Settings): { readonly recipe?: string; readonly maxDrop?: number } {
  return (command === 'quantize' ? options : typeof options.quantize === 'object' ? options.quantize : {}) as object
}

/** Whether a recipe is a quantized model whose choices are made again. */
function isModel(recipe: string | undefined): recipe is string {
  return recipe?.endsWith('.onnx') === true
}

interface Made {
  readonly facts: Omit<Facts, 'files' | 'data'>
  readonly chosen: Chosen | undefined
}

async function make(
  path: string,
  settings: Settings,
  data: DataSource | undefined,
  { refusals, signal, onProgress }: Context,
): Promise<Made> {
  try {
    return await withMade(path, settings, { signal, onProgress }, async ({ file, facts, chosen }) => {
      onProgress?.('comparing', 0, 1)
      const outputs = data ? await measureOutputs(path, file, split(data).heldOut, signal) : null
      return { facts: { ...facts, outputs }, chosen }
    })
  } catch (error) {
    const refused = refusal(error)
    if (refused === undefined || refusals === 'thrown') throw error
    return { facts: refusedFacts(refused), chosen: undefined }
  }
}

function dataFacts({ manifest }: DataSource): Facts['data'] {
  return { kind: manifest.kind, samples: manifest.selection.samples, sha256: manifest.hash }
}

/** Everything the findings depend on. */
async function keyFor(given: Pick<Facts, 'files' | 'data'>, settings: Settings, signal: AbortSignal | undefined) {
  const { calibration } = settings.options
  const { recipe } = quantizationIn(settings)
  const hash = async (file: string) => (await hashOfFile(file, signal)).sha256
  const table = calibration === undefined ? null : await hash(calibration)
  const repeated = isModel(recipe) ? await hash(recipe) : null
  return keyOf({ of: 'check', schema: 1, ...given, settings, table, repeated, program: programOf() })
}

async function keep(store: Store | undefined, key: string, { path }: Subject, found: object): Promise<string[]> {
  try {
    await store?.put(key, `check of ${path}`, found)
    return []
  } catch (error) {
    if (!(error instanceof ConvertError)) throw error
    return [error.message]
  }
}
