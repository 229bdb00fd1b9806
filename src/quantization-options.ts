import type { DataOptions } from './data/index.ts'
import { usage } from './errors.ts'
import type { DType } from './ir/index.ts'
import { dtypes } from './ir/index.ts'
import { matcher } from './names.ts'
import type { NamePattern, TargetOptions } from './options.ts'
import { targetOf } from './options.ts'
import type { QuantizationSettings, RecipeName } from './quantize/index.ts'
import { choicesOf, defaultSettings, isStatic, protocols } from './quantize/index.ts'
import type { Precision } from './rewrite/index.ts'

/** How to quantize; what is left out is as the recipe says. */
type Settings = {
  readonly [name in keyof Omit<QuantizationSettings, 'keep' | 'recipe' | 'explicit'>]?:
    | QuantizationSettings[name]
    | undefined
}

/** What can be asked of a quantization, by itself or as the second step of a conversion. */
export interface QuantizationOptions extends Settings {
  /**
   * A recipe by name, `auto` for the most accurate one on part of the data, or the path of a quantized model whose choices
   * are to be made again. Default `auto` where there is data to measure on, else `int8`.
   */
  readonly recipe?: string | undefined
  /** Move outlier channels of activations into the weights. Default true. */
  readonly smooth?: boolean | undefined
  /** Products to leave in float, by the names of their nodes. */
  readonly keepFloat?: NamePattern | undefined
  /** The least mean cosine between the outputs of the result and of the input. Default 0.95. */
  readonly minCosine?: number | undefined
  /** Keep as few products in float as bring 1 - cosine, its mean on samples kept back, down to this. */
  readonly maxDrop?: number | undefined
}

/** The least mean cosine where none is asked for. */
export const leastCosine = 0.95

/** What can be asked of a quantization by itself. */
export interface QuantizeOptions extends DataOptions, TargetOptions, QuantizationOptions {
  /** The data to calibrate and to compare on: what `openData` takes. */
  readonly data?: string | undefined
  /** A calibration table to use in the place of observing the data. */
  readonly calibration?: string | undefined
  /** Compute in half precision what is not quantized, where the target compiles explicit Q/DQ. */
  readonly precision?: Precision | undefined
  /** File to write. Default: `NAME.int8.onnx`, or `NAME.fp8.onnx`, beside the model. */
  readonly output?: string | undefined
  readonly overwrite?: boolean | undefined
  readonly externalData?: 'auto' | 'always' | 'never' | 'link' | undefined
  readonly hash?: boolean | undefined
  /** Put into the report what a page is drawn of: histograms, channels, operators, the environment. */
  readonly observations?: boolean | undefined
  /** Fold scalar arithmetic around convolutions into them first. Default true. */
  readonly optimize?: boolean | undefined
  readonly onProgress?: ((phase: QuantizePhase, done: number, total: number) => void) | undefined
}

export type QuantizePhase =
  | 'calibrating'
  | 'trying recipes'
  | 'ranking products'
  | 'measuring'
  | 'writing'
  | 'comparing'

/** Settings that are part of a recipe, as far as they were given. */
export function ownSettings(options: QuantizeOptions): readonly string[] {
  const { alpha, smooth, symmetrize, biasCorrection, preDequantize, range } = options
  const given = { alpha, smooth, symmetrize, 'bias-correction': biasCorrection, 'pre-dequantize': preDequantize, range }
  return Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [name]))
}

/** What a recipe and the target of a quantization say of each other. */
export type ExplicitOptions = TargetOptions & { readonly precision?: Precision | undefined }

/** The type of scales where the target compiles explicit Q/DQ; undefined where a runtime has kernels of integers. */
export function explicitOf(options: ExplicitOptions): DType | undefined {
  return targetOf(options).target.quantized === 'explicit' ? dtypes[options.precision ?? 'float'] : undefined
}

/** Whether a conversion is lowered to half precision behind its quantization, which then reads single precision. */
export function lowersLast(options: ExplicitOptions & { readonly quantize?: unknown }): boolean {
  return options.quantize !== undefined && explicitOf(options) !== undefined
}

/** Throws `usage` for a recipe that the target has nothing to run with. */
export function checkRecipe(name: RecipeName, options: ExplicitOptions): void {
  const { target } = targetOf(options)
  const { recipe } = choicesOf(name)
  const explicit = target.quantized === 'explicit'
  if (explicit && !isStatic(recipe))
    throw usage(`the target ${target.name} has no operators for the recipe ${name}`, 'Take int8 or fp8.')
  if (!explicit && recipe === 'fp8')
    throw usage(`the target ${target.name} has no kernels for fp8`, 'Take --target tensorrt, or another recipe.')
  if (!explicit && options.precision !== undefined)
    throw usage(`--${options.precision} beside integers is for a target that compiles them`, 'Take --target tensorrt.')
}

/** The settings of a recipe, changed where the options say so. */
export function settingsOf(options: QuantizationOptions & ExplicitOptions, name: RecipeName): QuantizationSettings {
  checkRecipe(name, options)
  const explicit = explicitOf(options)
  if (explicit !== undefined) checkExplicit(options)
  if (options.protocol !== undefined) checkProtocol(options, name)
  else if (options.softmaxCorrection)
    throw usage('--softmax-correction is about quantized probabilities', 'Only --protocol outeffhop quantizes them.')
  if (options.preDequantize && options.smooth === false)
    throw usage('--pre-dequantize moves outliers, and --no-smooth leaves them', 'Leave one of them out.')
  const { keepFloat = [] } = options
  const patterns = (typeof keepFloat === 'string' ? [keepFloat] : keepFloat).map(matcher)
  const published = options.protocol === undefined ? {} : asPublished
  const compiled = explicit === undefined ? {} : { embeddings: false }
  const recipe: QuantizationSettings = { ...defaultSettings, ...choicesOf(name), ...published, ...compiled }
  return {
    recipe: recipe.recipe,
    explicit,
    protocol: options.protocol,
    alpha: options.smooth === false ? undefined : (options.alpha ?? recipe.alpha),
    symmetrize: options.symmetrize ?? recipe.symmetrize,
    biasCorrection: options.biasCorrection ?? recipe.biasCorrection,
    softmaxCorrection: options.softmaxCorrection ?? recipe.softmaxCorrection,
    preDequantize: options.preDequantize ?? recipe.preDequantize,
    range: options.range ?? recipe.range,
    reduceRange: options.reduceRange ?? recipe.reduceRange,
    embeddings: options.embeddings ?? recipe.embeddings,
    convolutions: options.convolutions ?? recipe.convolutions,
    keep: (node) => patterns.some((matches) => matches(node)),
  }
}

/** Throws `usage` for settings about u8 with a zero point. */
function checkExplicit({ protocol, preDequantize, target }: QuantizationOptions & ExplicitOptions): void {
  const wrong = protocol !== undefined ? 'protocol' : preDequantize ? 'pre-dequantize' : undefined
  if (wrong !== undefined)
    throw usage(
      `--${wrong} is about integers with a zero point, which the target ${target} has none of`,
      'Leave it out.',
    )
}

/** What the protocol of OutEffHop says of settings: it moves nothing, corrects nothing and takes running extremes. */
const asPublished = {
  alpha: undefined,
  symmetrize: false,
  biasCorrection: false,
  range: 'moving-average',
  embeddings: false,
} as const

/** Throws `usage` for a protocol that does not exist, and for settings that contradict it. */
function checkProtocol(options: Omit<QuantizationOptions, 'recipe'>, name: RecipeName): void {
  const { protocol, alpha, smooth, symmetrize, biasCorrection, range, reduceRange, embeddings, convolutions } = options
  if (!protocols.some((known) => known === protocol))
    throw usage(`there is no protocol "${protocol}"`, `There are: ${protocols.join(', ')}.`)
  if (name !== 'int8') throw usage(`--protocol ${protocol} says what int8 is, not "${name}"`, 'Leave the recipe out.')
  const other: Readonly<Record<string, boolean>> = {
    alpha: alpha !== undefined,
    smooth: smooth === true,
    symmetrize: symmetrize === true,
    'bias-correction': biasCorrection === true,
    'pre-dequantize': options.preDequantize === true,
    range: range !== undefined && range !== 'moving-average',
    'reduce-range': reduceRange === true,
    embeddings: embeddings === false,
    prefer: convolutions === true,
  }
  const wrong = Object.keys(other).find((option) => other[option])
  if (wrong !== undefined)
    throw usage(
      `--${wrong} contradicts --protocol ${protocol}`,
      'The protocol is quantized as it was published: symmetric weights and asymmetric activations per tensor, running ' +
        'extremes, nothing moved and nothing corrected. Leave one of them out.',
    )
}
