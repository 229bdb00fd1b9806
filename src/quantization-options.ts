import { matcher } from './names.ts'
import type { NamePattern } from './options.ts'
import type { QuantizationSettings } from './quantize/index.ts'
import { defaultSettings } from './quantize/index.ts'

/** How to quantize; what is left out is as the recipe says. */
type Settings = { readonly [name in keyof Omit<QuantizationSettings, 'keep'>]?: QuantizationSettings[name] | undefined }

/** What can be asked of a quantization, by itself or as the second step of a conversion. */
export interface QuantizationOptions extends Settings {
  /** Move outlier channels of activations into the weights. Default true. */
  readonly smooth?: boolean | undefined
  /** Products to leave in float, by the names of their nodes. */
  readonly keepFloat?: NamePattern | undefined
  /** The least mean cosine between the outputs of the result and of the input. Default 0.95. */
  readonly minCosine?: number | undefined
}

/** What the passes work with, every choice made. */
export function settingsOf(options: QuantizationOptions): QuantizationSettings {
  const { keepFloat = [], ...given } = options
  const patterns = (typeof keepFloat === 'string' ? [keepFloat] : keepFloat).map(matcher)
  const { recipe, alpha, symmetrize, biasCorrection, range, reduceRange, embeddings, convolutions } = defaultSettings
  return {
    recipe: given.recipe ?? recipe,
    alpha: given.smooth === false ? undefined : (given.alpha ?? alpha),
    symmetrize: given.symmetrize ?? symmetrize,
    biasCorrection: given.biasCorrection ?? biasCorrection,
    range: given.range ?? range,
    reduceRange: given.reduceRange ?? reduceRange,
    embeddings: given.embeddings ?? embeddings,
    convolutions: given.convolutions ?? convolutions,
    keep: (name) => patterns.some((matches) => matches(name)),
  }
}
