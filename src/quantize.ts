/** Quantization on one screen: observe, migrate outliers, quantize, write, compare with the input on data it has not seen. */
import { basename, dirname, extname, join } from 'node:path'
import { withCopy, withFile } from './calibrate/index.ts'
import { Calibrated, quantizeUnseen } from './calibrated.ts'
import { checkOptions } from './check-options.ts'
import type { Choice } from './choice.ts'
import { choiceIn, choiceInFile, writeChoice } from './choice.ts'
import type { Comparison } from './compare/index.ts'
import { compareModels } from './compare/index.ts'
import type { DataSource } from './data/index.ts'
import { openData } from './data/index.ts'
import { checkOutput } from './emit/index.ts'
import { quantizationNothing, quantizationUnlike, usage } from './errors.ts'
import { floatWish, productsInFloat, withFloat } from './float-products.ts'
import type { SplitData } from './held-out.ts'
import { split } from './held-out.ts'
import type { Model } from './ir/index.ts'
import type { SavedFile } from './onnx/index.ts'
import { closeModel, modelSize, openModel, requireExternalData, saveModel } from './onnx/index.ts'
import { quantizeKinds } from './option-kinds.ts'
import type { QuantizeOptions } from './quantization-options.ts'
import { checkRecipe, explicitOf, leastCosine, settingsOf } from './quantization-options.ts'
import type { Quantization } from './quantize/index.ts'
import { choicesOf, clips, isStatic } from './quantize/index.ts'
import type { Attempt } from './recipe-search.ts'
import { mostAccurate, recipeAsked, tryRecipes } from './recipe-search.ts'
import { QuantizationRefused } from './refused.ts'
import type { ChoiceEntry, ObservedEntry, OperatorsEntry, QuantizationDocument } from './report/index.ts'
import {
  countOperators,
  describeModel,
  describeQuantization,
  finite,
  observedEntry,
  quantizationEntry,
} from './report/index.ts'
import type { Report } from './rewrite/index.ts'
import { sessionOptionsFor, trapWarnings } from './runtime-traps.ts'
import { surroundings } from './surroundings.ts'

export type { QuantizeOptions, QuantizePhase } from './quantization-options.ts'

/**
 * Makes an INT8 model of a float one, the attention left as it is: s8 weights, u8 activations in front of them, everything
 * else float.
 *
 * With data, samples are kept back and both models are run on them: a result that does not resemble the input is refused
 * ({@link QuantizationRefused}) and not written. Throws a {@link ConvertError} otherwise.
 */
export async function quantize(path: string, options: QuantizeOptions = {}): Promise<QuantizationDocument> {
  checkOptions(options, quantizeKinds)
  const kind = options.recipe === 'fp8' ? 'fp8' : 'int8'
  const output = options.output ?? join(dirname(path), `${basename(path, extname(path))}.${kind}.onnx`)
  checkOutput(output, path, options.overwrite ?? false)
  const model = openModel(path)
  try {
    return await quantizeModel({ model, file: path, original: path, output }, options)
  } finally {
    closeModel(model)
  }
}

/** A model to quantize, and what it stands for. */
export interface QuantizationTask {
  /** Quantized in place. */
  readonly model: Model
  /** A file with the model as it is. */
  readonly file: string
  /** What the result is compared with. */
  readonly original: string | Uint8Array
  readonly output: string
}

/** {@link quantize} for an opened model, which may be another one than it is compared with. */
export function quantizeModel(task: QuantizationTask, options: QuantizeOptions): Promise<QuantizationDocument> {
  return new Quantizer(task, options).run()
}

/** What {@link quantizeModel} would make of an opened model, which stays as it is, were every value within finite bounds. */
export async function planQuantization(
  model: Model,
  options: QuantizeOptions,
): Promise<Pick<QuantizationDocument, 'quantization' | 'requires' | 'files' | 'passes' | 'warnings'>> {
  const { synthetic, data } = options
  const asked = recipeAsked(options, data !== undefined && !synthetic)
  const settings = settingsOf(options, asked === 'auto' ? 'int8' : asked)
  const by = options.recipe === undefined ? 'default' : 'asked'
  return withCopy(model, async (copy) => {
    const { quantization, report, runs } = quantizeUnseen(copy, settings, options)
    const choice: ChoiceEntry = { by, tried: [], keepFloat: [] }
    return {
      quantization: quantizationEntry({
        ...{ recipe: asked, choice, products: quantization.products, comparison: undefined, sizeRatio: undefined },
        sessionOptions: sessionOptionsFor(settings),
      }),
      requires: requiresOf(report),
      ...{ files: [], warnings: report.warnings },
      passes: runs.map(({ pass, stage, changed }) => ({ pass, stage, changed })),
    }
  })
}

const comparedEarly =
  'the accuracy is that of the quantized model before its types were lowered to bfloat16, which ONNX Runtime has no kernels for'

/** A model of more bytes and what was made of it are not in memory together. */
const largestPair = 1 << 30

/** One run of {@link quantize}. */
class Quantizer {
  readonly #task: QuantizationTask
  readonly #model: Model
  readonly #bytes: number
  readonly #options: QuantizeOptions

  constructor(task: QuantizationTask, options: QuantizeOptions) {
    this.#task = task
    this.#model = task.model
    this.#bytes = modelSize(task.model).bytes + requireExternalData(task.model)
    this.#options = options
  }

  async run(): Promise<QuantizationDocument> {
    const { data: spec, synthetic, minCosine = leastCosine } = this.#options
    const asked = this.#asked()
    const described = await describeModel(this.#model, this.#options)
    const before = this.#options.observations ? countOperators(this.#model) : undefined
    const source = spec === undefined && !synthetic ? undefined : await openData(spec, this.#model, this.#options)
    const data = source && split(source)
    const calibrated = await this.#calibrated(asked, data?.calibration)
    const observed = this.#observed(calibrated)
    const made = await this.#choose(asked, calibrated, data)
    const settings = withFloat(settingsOf(this.#options, made.recipe), made.keepFloat)
    const quantization = await calibrated.quantize(settings, data?.calibration)
    writeChoice(this.#model, made)
    const early = data && this.#runsBefore() ? await this.#compareEarly(data.heldOut, calibrated) : undefined
    if (early) calibrated.report.warn('compared-before-lowering', comparedEarly)
    calibrated.finish()
    warnOfFloat(quantization, made, calibrated)
    if (settings.explicit === undefined) calibrated.report.warnings.push(...trapWarnings(this.#model, settings))
    const finish = (quality: Comparison | undefined, files: readonly SavedFile[]) =>
      describeQuantization({
        model: described,
        calibration: this.#calibrationEntry(calibrated),
        requires: requiresOf(calibrated.report),
        quantization: quantizationEntry({
          recipe: made.recipe,
          choice: made.entry,
          products: quantization.products,
          comparison: quality,
          sizeRatio: files.length === 0 ? undefined : files.reduce((sum, file) => sum + file.bytes, 0) / this.#bytes,
          sessionOptions: sessionOptionsFor(settings),
        }),
        files,
        passes: calibrated.runs.map(({ pass, stage, changed }) => ({ pass, stage, changed })),
        notes: [...(source?.notes ?? [])],
        warnings: calibrated.report.warnings,
        ...(before && this.#observations(before, observed)),
      })
    if (!quantization.products.some(({ quantized }) => quantized))
      throw new QuantizationRefused(quantizationNothing(quantization.products.length), finish(undefined, []))
    let quality: Comparison | undefined
    const files = await this.#write(calibrated, async (temporary) => {
      quality = early ?? (data && (await this.#compare(temporary, data.heldOut, calibrated)))
      const cosine = quality?.all?.cosine.mean
      if (cosine === undefined || cosine >= minCosine) return
      const unlike = quantizationUnlike(cosine, minCosine, quantization.noisiest?.product)
      throw new QuantizationRefused(unlike, finish(quality, []))
    })
    return finish(quality, files)
  }

  /** What was seen of the values, where a report is to be drawn of it and they were observed. */
  #observed({ table }: Calibrated): ObservedEntry | undefined {
    return this.#options.observations && 'samples' in table ? observedEntry(table, this.#model.graph) : undefined
  }

  #observations(before: OperatorsEntry['before'], observed: ObservedEntry | undefined) {
    const operators = { before, after: countOperators(this.#model) }
    return { operators, environment: surroundings(), ...(observed && { observed }) }
  }

  /** What is to be chosen, and by whom; what is written in a model is not searched again. */
  #asked(): Asked {
    const { data, synthetic, calibration, recipe, maxDrop } = this.#options
    // Made-up inputs say nothing of the accuracy that recipes have.
    const file = recipe?.endsWith('.onnx') ? choiceInFile(recipe) : undefined
    const wanted = file?.recipe ?? recipeAsked(this.#options, data !== undefined)
    const written = wanted === 'auto' ? choiceIn(this.#model) : file
    const name = written?.recipe ?? wanted
    if (this.#options.protocol !== undefined && (name === 'auto' || maxDrop !== undefined))
      throw usage(
        `${name === 'auto' ? '--recipe auto' : '--max-drop'} contradicts --protocol`,
        'Leave one of them out.',
      )
    const observes = name === 'auto' || isStatic(choicesOf(name).recipe)
    if (name !== 'auto') checkRecipe(name, this.#options)
    if (observes && data === undefined && !synthetic && calibration === undefined)
      throw usage('there is no data', 'Name it with --data SOURCE, or a table with --calibration TABLE.')
    if (this.#options.softmaxCorrection && data === undefined && !synthetic)
      throw usage('--softmax-correction needs data to measure on', 'Name it with --data SOURCE.')
    if (maxDrop !== undefined && data === undefined)
      throw usage('--max-drop needs data to measure on', 'Name it with --data SOURCE.')
    if (maxDrop !== undefined && !(maxDrop >= 0)) throw usage(`--max-drop is a number from 0 on, not ${maxDrop}`)
    const by = written ? 'written' : name === 'auto' ? 'searched' : recipe === undefined ? 'default' : 'asked'
    return { name, by, keepFloat: written?.keepFloat ?? [] }
  }

  #calibrated({ name }: Asked, data: DataSource | undefined): Promise<Calibrated> {
    const { range, observations = false } = this.#options
    const histograms =
      observations ||
      (range === undefined
        ? this.#options.protocol === undefined && name !== 'auto' && clips(name)
        : range !== 'min-max' && range !== 'moving-average')
    const { recipe } = choicesOf(name === 'auto' ? 'int8' : name)
    const ranges = recipe.startsWith('int8') || isStatic(recipe)
    const float8 = recipe === 'fp8'
    return Calibrated.of(this.#task.file, this.#model, { data, ranges, histograms, float8 }, this.#options)
  }

  async #choose(asked: Asked, calibrated: Calibrated, data: SplitData | undefined): Promise<Made> {
    const { maxDrop } = this.#options
    const attempts =
      asked.name === 'auto' && data
        ? await tryRecipes(this.#task.file, calibrated, data.calibration, this.#options)
        : []
    const recipe = asked.name === 'auto' ? mostAccurate(attempts) : asked.name
    const settings = withFloat(settingsOf(this.#options, recipe), asked.keepFloat)
    const wish = maxDrop === undefined ? floatWish(attempts, recipe, this.#options) : { target: maxDrop }
    const parts = { file: this.#task.file, original: this.#task.original, calibrated, settings }
    const more = data && wish ? await productsInFloat({ ...parts, data }, wish, this.#options) : []
    const keepFloat = [...asked.keepFloat, ...more]
    return { recipe, keepFloat, entry: { by: asked.by, tried: attempts.map(entryOf), keepFloat } }
  }

  #write(calibrated: Calibrated, accept: (temporary: string) => Promise<void>): Promise<SavedFile[]> {
    const { externalData, overwrite, hash, signal } = this.#options
    const onProgress = (done: number, total: number) => calibrated.progress('writing', done, total)
    return saveModel(this.#model, this.#task.output, { externalData, overwrite, hash, signal, accept, onProgress })
  }

  /** Whether ONNX Runtime has no kernels for the result, but has them for what it is before its types are lowered. */
  #runsBefore(): boolean {
    return this.#options.precision === 'bfloat16'
  }

  #compareEarly(data: DataSource, calibrated: Calibrated): Promise<Comparison> {
    return withFile(this.#model, (file) => this.#compare(file, data, calibrated))
  }

  /** What a compiler makes of Q/DQ is what they say, and how long that takes here says nothing of it. */
  #compare(temporary: string, data: DataSource, calibrated: Calibrated): Promise<Comparison> {
    calibrated.progress('comparing', 0, 1)
    const asItStands = explicitOf(this.#options) !== undefined
    const apart = this.#bytes > largestPair
    const settings = { timed: !asItStands, asItStands, apart, signal: this.#options.signal }
    return compareModels(this.#task.original, temporary, data.samples(), settings)
  }

  #calibrationEntry({ table }: Calibrated): QuantizationDocument['calibration'] {
    const { calibration = null } = this.#options
    const own = 'samples' in table ? table : undefined
    return { samples: own?.samples.length ?? 0, synthetic: own?.data.synthetic ?? false, table: calibration }
  }
}

/** The recipe to take, or `auto`, and the products that stay in float as it is written. */
interface Asked {
  readonly name: ReturnType<typeof recipeAsked>
  readonly by: ChoiceEntry['by']
  readonly keepFloat: readonly string[]
}

interface Made extends Choice {
  readonly entry: ChoiceEntry
}

function requiresOf({ runtime }: Report): QuantizationDocument['requires'] {
  return { runtime: runtime?.version ?? null, reasons: runtime === null ? [] : [runtime.reason] }
}

function entryOf({ recipe, quantized, quality }: Attempt): ChoiceEntry['tried'][number] {
  const { cosine, sqnrDb } = quality ?? {}
  return { recipe, quantized, cosineMean: cosine?.mean ?? null, sqnrDb: sqnrDb === undefined ? null : finite(sqnrDb) }
}

/** What nobody asked to stay in float is said, and most of the products in float is not what a quantized model is for. */
function warnOfFloat({ products }: Quantization, { keepFloat, entry }: Made, { report }: Calibrated): void {
  const message = `${keepFloat.length} of ${products.length} products stay in float to meet the target`
  const isMost = 2 * keepFloat.length > products.length
  if (isMost || (entry.by === 'searched' && keepFloat.length > 0))
    report.warnings.push({ code: isMost ? 'mostly-float' : 'some-float', message })
}
