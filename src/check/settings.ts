import { isAbsolute, join, relative, sep } from 'node:path'
import type { DataOptions } from '../data/index.ts'
import { checkUnrecordable } from '../errors.ts'
import type { ConvertOptions } from '../options.ts'
import type { QuantizeOptions } from '../quantize.ts'

/** Options of a conversion that say what comes out, and not where to, nor how it is watched. */
export type ConvertSettings = Omit<
  ConvertOptions,
  'output' | 'overwrite' | 'hash' | 'dryRun' | 'stopAfter' | 'dump' | 'signal' | 'onProgress'
>

export type QuantizeSettings = Omit<QuantizeOptions, 'output' | 'overwrite' | 'hash' | 'signal' | 'onProgress'>

/** How a model is made. */
export type Settings =
  | { readonly command: 'convert'; readonly options: ConvertSettings }
  | { readonly command: 'quantize'; readonly options: QuantizeSettings }

/** What a search chose: it is made again, and not searched again. */
export interface Chosen {
  readonly recipe: string
  readonly keepFloat: readonly string[]
}

/** Data by name, and how it is read. */
export interface DataChoice {
  readonly spec: string | undefined
  readonly options: DataOptions
}

/** Settings as plain JSON, their paths relative to `folder`. Throws `check-unrecordable` for functions. */
export function recorded(settings: Settings, folder: string): Settings {
  for (const [name, value] of Object.entries(settings.options))
    if (typeof value === 'function') throw checkUnrecordable(name)
  const plain = JSON.parse(JSON.stringify(settings)) as Settings
  return withPaths(plain, (path) => relativeTo(folder, path))
}

/** Recorded settings with the paths that lead there from here, and what was chosen in the place of a search. */
export function replayed(settings: Settings, chosen: Chosen | undefined, folder: string): Settings {
  const here = withPaths(settings, (path) => (isAbsolute(path) ? path : join(folder, path)))
  if (chosen === undefined) return here
  if (here.command === 'quantize') return { ...here, options: withChoice(here.options, chosen) }
  const { quantize } = here.options
  const options = typeof quantize === 'object' ? quantize : {}
  const made = withChoice(options, chosen) as ConvertOptions['quantize']
  return { ...here, options: { ...here.options, quantize: made } }
}

/** The data that settings name; undefined where they name none. */
export function dataOf({ command, options }: Settings): DataChoice | undefined {
  const data = command === 'convert' ? (options.dataOptions ?? {}) : dataOptionsIn(options)
  return options.data === undefined && !data.synthetic ? undefined : { spec: options.data, options: data }
}

/** The same settings with data that lies somewhere else. */
export function withData(settings: Settings, spec: string): Settings {
  return { ...settings, options: { ...settings.options, data: spec } } as Settings
}

/** `path` as it is written in a file of `folder`: with slashes, the same on every system. */
export function relativeTo(folder: string, path: string): string {
  return relative(folder, path).split(sep).join('/')
}

function dataOptionsIn(options: QuantizeSettings): DataOptions {
  const { samples, seed, shard, onBadSample, tokenizer, maxLength, textField, image, synthetic } = options
  return { samples, seed, shard, onBadSample, tokenizer, maxLength, textField, image, synthetic }
}

function withChoice<O extends Pick<QuantizeSettings, 'maxDrop' | 'keepFloat'>>(options: O, chosen: Chosen) {
  const { maxDrop, keepFloat = [], ...rest } = options
  const names = [...(typeof keepFloat === 'string' ? [keepFloat] : keepFloat), ...chosen.keepFloat]
  return { ...rest, recipe: chosen.recipe, ...(names.length > 0 && { keepFloat: [...new Set(names)] }) }
}

type Paths = { readonly [name: string]: unknown }

function withPaths(settings: Settings, map: (path: string) => string): Settings {
  return { ...settings, options: mapped(settings.options as Paths, map) } as Settings
}

function mapped(options: Paths, map: (path: string) => string): Paths {
  const { dataOptions, image, recipe } = options
  const result: Record<string, unknown> = { ...options }
  for (const name of ['data', 'calibration', 'tokenizer'])
    if (typeof result[name] === 'string') result[name] = map(result[name])
  if (isPlain(dataOptions)) result.dataOptions = mapped(dataOptions, map)
  if (isPlain(image) && typeof image.config === 'string') result.image = { ...image, config: map(image.config) }
  // A quantized model whose choices are made again.
  if (typeof recipe === 'string' && recipe.endsWith('.onnx')) result.recipe = map(recipe)
  return result
}

function isPlain(value: unknown): value is Paths {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
