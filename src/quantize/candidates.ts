import type { QuantizationSettings } from './quantization.ts'
import type { Recipe } from './recipes.ts'
import { recipes } from './recipes.ts'

/** What a recipe says; the rest is as {@link defaultSettings} says. */
type Choices = Readonly<Pick<QuantizationSettings, 'recipe'>> &
  Partial<Pick<QuantizationSettings, 'alpha' | 'symmetrize' | 'biasCorrection' | 'range'>>

const plain = { recipe: 'int8', alpha: undefined, symmetrize: false } as const

/**
 * Static int8 made in other ways, all of the same speed, by recipe name: `int8` first, then what is wrong about it where it
 * is not the best: how much moves, the shift, the means it was corrected with, and the migration as a whole.
 */
const variants = {
  'int8-half': { recipe: 'int8', alpha: 0.5 },
  'int8-most': { recipe: 'int8', alpha: 0.85 },
  'int8-unshifted': { recipe: 'int8', symmetrize: false },
  'int8-uncorrected': { recipe: 'int8', biasCorrection: false },
  'int8-plain': { ...plain, biasCorrection: false },
  'int8-mse': { ...plain, range: 'mse' },
  'int8-percentile': { ...plain, range: { percentile: 99.999 } },
} as const satisfies Record<string, Choices>

/**
 * What else a recipe says. The steps of fp8 grow with the number: an outlier costs the others nothing, and nothing is moved
 * out of its way.
 */
const said: Readonly<Partial<Record<Recipe, Omit<Choices, 'recipe'>>>> = { fp8: { alpha: undefined } }

export type RecipeName = Recipe | keyof typeof variants

/** Every recipe that can be asked for by name. */
export const recipeNames: readonly RecipeName[] = [...recipes, ...(Object.keys(variants) as (keyof typeof variants)[])]

/** What is tried where nothing is asked for; the first is the one to beat. */
export const candidates: readonly RecipeName[] = ['int8', ...(Object.keys(variants) as (keyof typeof variants)[])]

export function isRecipeName(text: string): text is RecipeName {
  return recipeNames.some((name) => name === text)
}

export function choicesOf(name: RecipeName): Choices {
  return name in variants
    ? variants[name as keyof typeof variants]
    : { recipe: name as Recipe, ...said[name as Recipe] }
}

/** Whether ranges of the recipe need histograms. */
export function clips(name: RecipeName): boolean {
  return (choicesOf(name).range ?? 'min-max') !== 'min-max'
}
