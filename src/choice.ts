/** What was chosen for a quantized model, as its metadata says it: written once, and never searched for again. */
import { existsSync } from 'node:fs'
import type { Model } from './ir/index.ts'
import { closeModel, openModel } from './onnx/index.ts'
import type { RecipeName } from './quantize/index.ts'
import { isRecipeName } from './quantize/index.ts'

/** A recipe and the products that stay in float by choice, by the names of their nodes. */
export interface Choice {
  readonly recipe: RecipeName
  readonly keepFloat: readonly string[]
}

const recipeKey = 'outeffhop.recipe'
const keepKey = 'outeffhop.keep-float'

export function writeChoice(model: Model, { recipe, keepFloat }: Choice): void {
  model.setMetadata(recipeKey, recipe)
  if (keepFloat.length > 0) model.setMetadata(keepKey, JSON.stringify(keepFloat))
}

/** The choice that is written in a model; undefined where there is none, or one that this program does not know. */
export function choiceIn({ metadata }: Pick<Model, 'metadata'>): Choice | undefined {
  const recipe = metadata.get(recipeKey) ?? ''
  return isRecipeName(recipe) ? { recipe, keepFloat: namesIn(metadata.get(keepKey)) } : undefined
}

/** The choice in a model file that stands in the place of the name of a recipe. */
export function choiceInFile(path: string): Choice | undefined {
  if (!existsSync(path)) return undefined
  const model = openModel(path)
  try {
    return choiceIn(model)
  } finally {
    closeModel(model)
  }
}

function namesIn(text = '[]'): readonly string[] {
  try {
    const names: unknown = JSON.parse(text)
    return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : []
  } catch {
    return []
  }
}
