/** Which products stay in float: as few of the worst as bring a result near enough. */
import type { Calibrated } from './calibrated.ts'
import { Baseline } from './compare/index.ts'
import { ConvertError } from './errors.ts'
import type { SplitData } from './held-out.ts'
import type { QuantizeOptions } from './quantization-options.ts'
import { leastCosine } from './quantization-options.ts'
import type { QuantizationSettings, RecipeName } from './quantize/index.ts'
import type { Attempt } from './recipe-search.ts'
import { fewestInFloat, rank } from './sensitivity.ts'

/** How near the result is to come, and which part of the products may stay in float for it; undefined: all but one. */
export interface FloatWish {
  /** The most that `1 - cosine` may be, its mean on samples kept back. */
  readonly target: number
  readonly part?: number
}

/** Nobody asked for float where a recipe was searched, so this part of the products stays there at most. */
const fewPart = 1 / 4

/** What float is wanted for where nobody asked: the recipe that was found loses so much that it would be refused. */
export function floatWish(
  attempts: readonly Attempt[],
  recipe: RecipeName,
  { minCosine = leastCosine }: QuantizeOptions,
): FloatWish | undefined {
  const cosine = attempts.find((attempt) => attempt.recipe === recipe)?.quality?.cosine.mean
  return cosine === undefined || cosine >= minCosine ? undefined : { target: 1 - minCosine, part: fewPart }
}

/** What products are ranked and tried on. */
interface FloatSearch {
  readonly file: string
  /** What results are compared with. */
  readonly original: string | Uint8Array
  readonly calibrated: Calibrated
  readonly settings: QuantizationSettings
  readonly data: SplitData
}

/**
 * Products that have to stay in float, the worst first; none where a part of them was set and does not do.
 *
 * Throws `quantization-drop` where there is no part and nothing does.
 */
export async function productsInFloat(
  { file, original, calibrated, settings, data: { calibration, heldOut } }: FloatSearch,
  { target, part }: FloatWish,
  { signal }: Pick<QuantizeOptions, 'signal'>,
): Promise<readonly string[]> {
  const ranked = await rank(file, calibrated, calibration, settings, { signal })
  const most = part === undefined ? undefined : Math.floor(part * ranked.length)
  if (most === 0) return []
  const baseline = await Baseline.open(original, signal)
  const measure = (names: readonly string[]) =>
    calibrated.candidate(withFloat(settings, names), calibration, async (candidate) => {
      const asItStands = settings.explicit !== undefined
      const { all } = await baseline.compare(candidate, heldOut.samples(), { signal, asItStands })
      return 1 - (all?.cosine.mean ?? Number.NaN)
    })
  try {
    return (await fewestInFloat(ranked, target, measure, most)).names
  } catch (error) {
    if (part !== undefined && error instanceof ConvertError && error.code === 'quantization-drop') return []
    throw error
  } finally {
    await baseline.close()
  }
}

export function withFloat(settings: QuantizationSettings, names: readonly string[]): QuantizationSettings {
  const kept = new Set(names)
  return { ...settings, keep: (node) => kept.has(node) || settings.keep(node) }
}
