/** What every weight product costs in accuracy, and the fewest of them in float that keep it. */
import { Calibrated } from './calibrated.ts'
import { checkOptions } from './check-options.ts'
import type { Similarity } from './compare/index.ts'
import { Baseline } from './compare/index.ts'
import type { DataSource } from './data/index.ts'
import { openData } from './data/index.ts'
import { quantizationDrop, quantizationNothing } from './errors.ts'
import { evenly } from './held-out.ts'
import { closeModel, openModel, requireExternalData } from './onnx/index.ts'
import { quantizeKinds } from './option-kinds.ts'
import type { QuantizeOptions } from './quantization-options.ts'
import { settingsOf } from './quantization-options.ts'
import type { QuantizationSettings } from './quantize/index.ts'
import { clips } from './quantize/index.ts'
import { noiseOf, recipeAsked } from './recipe-search.ts'
import type { SensitivityDocument, SensitivityEntry } from './report/index.ts'
import { describeModel, describeSensitivity } from './report/index.ts'

/** Which settings products are quantized with, and on what. */
export type SensitivityOptions = Omit<QuantizeOptions, 'output' | 'overwrite' | 'externalData' | 'hash' | 'maxDrop'>

/**
 * Quantizes each weight product of a model alone and says what that does to the outputs, the worst first.
 *
 * Throws `quantization-nothing` where there is no product to quantize.
 */
export async function sensitivity(path: string, options: SensitivityOptions = {}): Promise<SensitivityDocument> {
  checkOptions(options, quantizeKinds)
  const model = openModel(path)
  try {
    requireExternalData(model)
    const described = await describeModel(model, {})
    const recipe = recipeAsked({ ...options, recipe: options.recipe ?? 'int8' }, true)
    const name = recipe === 'auto' ? 'int8' : recipe
    const data = await openData(options.data, model, options)
    const histograms = options.range === undefined ? clips(name) : options.range !== 'min-max'
    const calibrated = await Calibrated.of(
      path,
      model,
      { data, ranges: true, histograms, float8: name === 'fp8' },
      options,
    )
    const entries = await rank(path, calibrated, data, settingsOf(options, name), options)
    if (entries.length === 0) throw quantizationNothing(0)
    return describeSensitivity({
      model: described,
      recipe: name,
      samples: judgedOf(data).size,
      products: entries,
      notes: data.notes,
    })
  } finally {
    closeModel(model)
  }
}

/** Samples that a product is judged on. */
const judged = 8

function judgedOf(data: DataSource): DataSource {
  return evenly(data, judged)
}

/** Every product that the settings quantize, quantized alone, by what it adds to the outputs: the worst first. */
export async function rank(
  path: string,
  calibrated: Calibrated,
  data: DataSource,
  settings: QuantizationSettings,
  { signal }: Pick<QuantizeOptions, 'signal'>,
): Promise<readonly SensitivityEntry[]> {
  const alone = { ...settings, embeddings: false }
  const products = await calibrated.candidate(alone, undefined, async (_, quantization) => quantization.products)
  const nodes = products.filter(({ quantized }) => quantized)
  const entries: SensitivityEntry[] = []
  const baseline = await Baseline.open(path, signal)
  try {
    for (const [done, { node, op }] of nodes.entries()) {
      calibrated.progress('ranking products', done, nodes.length)
      const only = { ...alone, keep: (name: string) => name !== node || settings.keep(name) }
      const { all } = await calibrated.candidate(only, undefined, (file) =>
        baseline.compare(file, judgedOf(data).samples(), { signal, asItStands: settings.explicit !== undefined }),
      )
      entries.push(entryOf(node, op, all))
    }
  } finally {
    await baseline.close()
  }
  return entries.sort((a, b) => b.noise - a.noise)
}

function entryOf(node: string, op: string, all: Similarity | undefined): SensitivityEntry {
  const noise = noiseOf(all)
  return { node, op, noise, sqnrDb: all?.sqnrDb ?? Number.NaN, drop: 1 - (all?.cosine.mean ?? Number.NaN) }
}

/** What meets a target, and how near it comes. */
export interface Kept {
  readonly names: readonly string[]
  readonly drop: number
}

/**
 * The fewest of the worst products to keep in float, `most` at most, so that `measure` says no more than `target`: by
 * bisection, the first guess from the sum of what products add alone, which is nearly what they add together.
 *
 * Throws `quantization-drop` where that many do not do; by default all but one.
 */
export async function fewestInFloat(
  ranked: readonly Pick<SensitivityEntry, 'node' | 'noise'>[],
  target: number,
  measure: (names: readonly string[]) => Promise<number>,
  most = ranked.length - 1,
): Promise<Kept> {
  const worst = (count: number) => ranked.slice(0, count).map(({ node }) => node)
  const all = await measure([])
  if (all <= target) return { names: [], drop: all }
  let [failing, meeting] = [0, most + 1]
  let best: number | undefined
  let probe = Math.min(most, guess(ranked, target / all))
  while (meeting - failing > 1) {
    const drop = await measure(worst(probe))
    if (drop <= target) [meeting, best] = [probe, drop]
    else failing = probe
    probe = Math.floor((failing + meeting) / 2)
  }
  if (best === undefined) throw quantizationDrop(all, target)
  return { names: worst(meeting), drop: best }
}

/** How many of the worst to leave out until only so much of the noise of all is left; never none, and never all. */
function guess(ranked: readonly { readonly noise: number }[], part: number): number {
  const sum = ranked.reduce((total, { noise }) => total + noise, 0)
  let rest = sum
  let count = 0
  while (count < ranked.length - 1 && (count === 0 || rest > part * sum)) rest -= ranked[count++]?.noise ?? 0
  return count
}
