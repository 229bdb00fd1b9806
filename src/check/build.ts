import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConversionRefused, QuantizationRefused } from '../refused.ts'
import { fullName } from '../report/groups.ts'
import type { ProductEntry, QuantizationEntry, SiteEntry } from '../report/index.ts'
import type { Facts, ProductFacts, SiteFacts } from './facts.ts'
import { nothingMade } from './facts.ts'
import type { Chosen, Settings } from './settings.ts'

/** What came of making a model: the file, for as long as it is used, and what the reports say. */
export interface Made {
  readonly file: string
  readonly facts: Omit<Facts, 'files' | 'data' | 'outputs'>
  /** The recipe and what stays in float; undefined where nothing is quantized. */
  readonly chosen: Chosen | undefined
}

export interface Watch {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((phase: string, done: number, total: number) => void) | undefined
}

/**
 * Makes a model by its settings in a temporary folder, gives it to `use`, and removes it. Throws as `convert` and
 * `quantize` do, refusals included.
 */
export async function withMade<T>(
  model: string,
  settings: Settings,
  watch: Watch,
  use: (made: Made) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'outeffhop-check-'))
  try {
    const file = join(folder, 'model.onnx')
    return await use(await (settings.command === 'convert' ? converted : quantized)(model, file, settings, watch))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What a check refused, in one sentence; undefined for another error. */
export function refusal(error: unknown): string | undefined {
  const isRefused = error instanceof ConversionRefused || error instanceof QuantizationRefused
  return isRefused ? error.message : undefined
}

async function converted(model: string, file: string, settings: Settings, watch: Watch): Promise<Made> {
  const { convert } = await import('../convert.ts')
  const options = settings.options as Extract<Settings, { command: 'convert' }>['options']
  const { document } = await convert(model, { ...options, ...watch, output: file })
  const { quantization, verification, requires, warnings, files } = document
  return {
    file,
    chosen: chosenIn(quantization),
    facts: {
      ...(await contentOf(file)),
      refused: null,
      runs: verification?.ran ?? null,
      runtime: requires.runtime,
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      sites: sitesOf(document.sites),
      products: quantization ? productsOf(quantization) : null,
      warnings: codesOf(warnings),
    },
  }
}

async function quantized(model: string, file: string, settings: Settings, watch: Watch): Promise<Made> {
  const [{ quantize }, { explain }] = await Promise.all([import('../quantize.ts'), import('../explain.ts')])
  const options = settings.options as Extract<Settings, { command: 'quantize' }>['options']
  const { quantization, warnings, files } = await quantize(model, { ...options, ...watch, output: file })
  const { sites } = await explain(model)
  return {
    file,
    chosen: chosenIn(quantization),
    facts: {
      ...(await contentOf(file)),
      refused: null,
      runs: quantization.quality === null ? null : true,
      runtime: null,
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      sites: sitesOf(sites),
      products: productsOf(quantization),
      warnings: codesOf(warnings),
    },
  }
}

/** Nothing was made, for this reason. */
export function refusedFacts(reason: string): Omit<Facts, 'files' | 'data'> {
  return { ...nothingMade, refused: reason }
}

async function contentOf(file: string): Promise<Pick<Facts, 'irVersion' | 'opsets' | 'operators'>> {
  const { inspect } = await import('../inspect.ts')
  const { model, operators } = await inspect(file)
  const opsets = Object.entries(model.opsets).map(([domain, version]) => [domain || 'ai.onnx', version] as const)
  return { irVersion: model.irVersion, opsets: sorted(opsets), operators: sorted(Object.entries(operators)) }
}

function chosenIn(quantization: QuantizationEntry | undefined): Chosen | undefined {
  return quantization && { recipe: quantization.recipe, keepFloat: quantization.choice.keepFloat }
}

function productsOf({ quantized, products }: QuantizationEntry): ProductFacts {
  const inFloat = products.filter((product) => !product.quantized)
  return { quantized, float: sorted(inFloat.map(({ node, reason }: ProductEntry) => [node, reason ?? ''])) }
}

/** In the order of the model. Two sites of one name are told apart by a number. */
function sitesOf(sites: readonly SiteEntry[]): Record<string, SiteFacts> {
  const facts = new Map<string, SiteFacts>()
  for (const site of sites) {
    const { verdict, reason, form } = site
    let name = fullName(site)
    for (let n = 2; facts.has(name); n++) name = `${fullName(site)} #${n}`
    facts.set(name, { verdict, ...(reason !== null && { reason }), ...(form !== null && { form }) })
  }
  return Object.fromEntries(facts)
}

function codesOf(warnings: readonly { readonly code: string }[]): string[] {
  return [...new Set(warnings.map(({ code }) => code))].sort()
}

function sorted<T>(entries: readonly (readonly [string, T])[]): Record<string, T> {
  return Object.fromEntries([...entries].sort(([a], [b]) => (a < b ? -1 : 1)))
}
