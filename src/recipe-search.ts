/** Which recipe: the one that was asked for, the one that was written down, or the most accurate on part of the data. */
import type { Calibrated } from './calibrated.ts'
import type { Comparison, Similarity } from './compare/index.ts'
import { Baseline } from './compare/index.ts'
import type { DataSource } from './data/index.ts'
import { ConvertError, usage } from './errors.ts'
import { evenly } from './held-out.ts'
import { closest } from './names.ts'
import type { QuantizeOptions } from './quantization-options.ts'
import { leastCosine, ownSettings, settingsOf } from './quantization-options.ts'
import type { RecipeName } from './quantize/index.ts'
import { candidates, isRecipeName, recipeNames } from './quantize/index.ts'

/** What came of trying one recipe. */
export interface Attempt {
  readonly recipe: RecipeName
  /** Products that it quantized; a recipe that leaves more of them in float than another is not taken. */
  readonly quantized: number
  /** On part of the data of calibration; undefined where nothing could be compared. */
  readonly quality: Similarity | undefined
}

/**
 * The recipe that is asked for by name; `auto` where it is to be searched, which is the default where there is data.
 *
 * Throws `usage` for a name that is none, and for `auto` beside settings that it is about.
 */
export function recipeAsked(options: QuantizeOptions, hasData: boolean): RecipeName | 'auto' {
  const { recipe } = options
  const own = ownSettings(options)
  if (recipe === undefined) {
    const isOpen = hasData && own.length === 0 && options.protocol === undefined
    return isOpen ? 'auto' : 'int8'
  }
  if (recipe === 'auto') {
    if (own.length > 0)
      throw usage(`--${own[0]} is part of what --recipe auto chooses`, 'Name a recipe, or leave it out.')
    if (!hasData) throw usage('--recipe auto needs data to try recipes on', 'Name it with --data SOURCE.')
    return recipe
  }
  if (isRecipeName(recipe)) return recipe
  const near = closest(recipe, recipeNames)
  const hint = near === undefined ? `There are: auto, ${recipeNames.join(', ')}.` : `Did you mean ${near}?`
  throw usage(`"${recipe}" is no recipe, and no quantized model`, hint)
}

/** Samples that recipes are tried on, and samples that means are measured on meanwhile. */
const judged = 8
const measured = 8

/** A recipe takes the place of the first only with this part of its noise or less: few samples tell no finer. */
const margin = 0.9

/** A recipe that loses no more than this part of what may be lost ends the search: few samples tell no finer. */
const enough = 0.1

/**
 * Quantizes copies of the model by one candidate after the other and compares them with `path` on part of the data, until
 * one is clearly accurate enough: with `minCosine` of 0.95, from a mean cosine of 0.995 on.
 */
export async function tryRecipes(
  path: string,
  calibrated: Calibrated,
  data: DataSource,
  options: QuantizeOptions,
): Promise<readonly Attempt[]> {
  const attempts: Attempt[] = []
  const baseline = await Baseline.open(path, options.signal)
  try {
    for (const [done, recipe] of candidates.entries()) {
      calibrated.progress('trying recipes', done, candidates.length)
      const made = await attempt(recipe, calibrated, data, baseline, options)
      attempts.push(...made)
      if (made.some(({ quality }) => isEnough(quality, options))) break
    }
  } finally {
    await baseline.close()
  }
  return attempts
}

function isEnough(quality: Attempt['quality'], { minCosine = leastCosine }: QuantizeOptions): boolean {
  return quality !== undefined && 1 - quality.cosine.mean <= enough * (1 - minCosine)
}

async function attempt(
  recipe: RecipeName,
  calibrated: Calibrated,
  data: DataSource,
  baseline: Baseline,
  options: QuantizeOptions,
): Promise<Attempt[]> {
  try {
    const settings = settingsOf(options, recipe)
    return await calibrated.candidate(settings, evenly(data, measured), async (file, { products }) => {
      const { all } = await baseline.compare(file, evenly(data, judged).samples(), {
        signal: options.signal,
        asItStands: settings.explicit !== undefined,
      })
      return [{ recipe, quantized: products.filter(({ quantized }) => quantized).length, quality: all }]
    })
  } catch (error) {
    // A table without histograms has no ranges that clip.
    if (error instanceof ConvertError && error.code === 'calibration-without-histograms') return []
    throw error
  }
}

/** The most accurate of those that quantize most; the first, unless another is clearly better. */
export function mostAccurate(attempts: readonly Attempt[]): RecipeName {
  const most = Math.max(...attempts.map(({ quantized }) => quantized))
  const full = attempts.filter(({ quantized }) => quantized === most)
  const [first, ...others] = full
  const best = others.reduce((a, b) => (noiseOf(b.quality) < noiseOf(a?.quality) ? b : a), first)
  if (first === undefined || best === undefined) return 'int8'
  return noiseOf(best.quality) <= margin * noiseOf(first.quality) ? best.recipe : first.recipe
}

/** `Σ (a - b)² / Σ a²`; as large as can be where nothing was compared or something is no number. */
export function noiseOf(quality: Comparison['all']): number {
  const noise = quality === undefined ? Number.NaN : 10 ** (-quality.sqnrDb / 10)
  return Number.isNaN(noise) ? Number.POSITIVE_INFINITY : noise
}
