/** Quantization on one screen: observe, migrate outliers, quantize, write, compare with the input on data it has not seen. */
import { basename, dirname, extname, join } from 'node:path'
import { passes } from '../passes/index.ts'
import type { CalibrationTable, ForeignTable } from './calibrate/index.ts'
import { checkBelongs, collect, measureRounding, readTable, runOver } from './calibrate/index.ts'
import type { Quality } from './compare/index.ts'
import { compareModels } from './compare/index.ts'
import type { DataOptions, DataSource } from './data/index.ts'
import { openData } from './data/index.ts'
import { checkOutput } from './emit/index.ts'
import { ConvertError, quantizationNothing, quantizationUnlike, usage } from './errors.ts'
import { split } from './held-out.ts'
import type { Model } from './ir/index.ts'
import { matcher } from './names.ts'
import type { SavedFile } from './onnx/index.ts'
import { closeModel, modelSize, openModel, requireExternalData, saveModel } from './onnx/index.ts'
import type { NamePattern, TargetOptions } from './options.ts'
import { targetOf } from './options.ts'
import type { QuantizationSettings } from './quantize/index.ts'
import { defaultSettings, Quantization } from './quantize/index.ts'
import type { QuantizationDocument } from './report/index.ts'
import { describeModel, describeQuantization, quantizationEntry } from './report/index.ts'
import type { PassRun } from './rewrite/index.ts'
import { Report, runPipeline } from './rewrite/index.ts'

/** How to quantize; what is left out is as the recipe says. */
type Settings = { readonly [name in keyof Omit<QuantizationSettings, 'keep'>]?: QuantizationSettings[name] | undefined }

export interface QuantizeOptions extends DataOptions, TargetOptions, Settings {
  /** The data to calibrate and to compare on: what `openData` takes. */
  readonly data?: string | undefined
  /** A calibration table to use in the place of observing the data. */
  readonly calibration?: string | undefined
  /** File to write. Default: `NAME.int8.onnx` beside the model. */
  readonly output?: string | undefined
  readonly overwrite?: boolean | undefined
  readonly externalData?: 'auto' | 'always' | 'never' | 'link' | undefined
  readonly hash?: boolean | undefined
  /** Move outlier channels of activations into the weights. Default true. */
  readonly smooth?: boolean | undefined
  /** Products to leave in float, by the names of their nodes. */
  readonly keepFloat?: NamePattern | undefined
  /** The least mean cosine between the outputs of the result and of the input. Default 0.95. */
  readonly minCosine?: number | undefined
  readonly onProgress?: ((phase: QuantizePhase, done: number, total: number) => void) | undefined
}

export type QuantizePhase = 'calibrating' | 'measuring' | 'writing' | 'comparing'

/** A quantization that a check refused, with the report that says why. Nothing was written. */
export class QuantizationRefused extends ConvertError {
  readonly document: QuantizationDocument

  constructor(reason: ConvertError, document: QuantizationDocument) {
    super(reason.code, reason.kind, reason.message, reason.at, reason.hint)
    this.document = document
  }
}

/**
 * Makes an INT8 model of a float one, the attention left as it is: s8 weights, u8 activations in front of them, everything
 * else float.
 *
 * With data, samples are kept back and both models are run on them: a result that does not resemble the input is refused
 * ({@link QuantizationRefused}) and not written. Throws a {@link ConvertError} otherwise.
 */
export async function quantize(path: string, options: QuantizeOptions = {}): Promise<QuantizationDocument> {
  const output = options.output ?? join(dirname(path), `${basename(path, extname(path))}.int8.onnx`)
  checkOutput(output, path, options.overwrite ?? false)
  const model = openModel(path)
  try {
    const bytes = modelSize(model).bytes + requireExternalData(model)
    return await new Quantizer(path, output, bytes, model, options).run()
  } finally {
    closeModel(model)
  }
}

/** One run of {@link quantize}. */
class Quantizer {
  readonly #path: string
  readonly #output: string
  readonly #bytes: number
  readonly #model: Model
  readonly #options: QuantizeOptions
  readonly #report = new Report()
  readonly #runs: PassRun[] = []

  constructor(path: string, output: string, bytes: number, model: Model, options: QuantizeOptions) {
    this.#path = path
    this.#output = output
    this.#bytes = bytes
    this.#model = model
    this.#options = options
  }

  async run(): Promise<QuantizationDocument> {
    const { data: spec, synthetic, calibration, minCosine = 0.95 } = this.#options
    if (spec === undefined && !synthetic && calibration === undefined)
      throw usage('there is no data', 'Name it with --data SOURCE, or a table with --calibration TABLE.')
    const described = await describeModel(this.#model, this.#options)
    const source = spec === undefined && !synthetic ? undefined : await openData(spec, this.#model, this.#options)
    const data = source && split(source)
    const table = await this.#table(data?.calibration)
    const quantization = new Quantization(table.statistics, settingsOf(this.#options))
    await this.#adapt(quantization, data?.calibration)
    const finish = (quality: Quality | undefined, files: readonly SavedFile[]) =>
      describeQuantization({
        model: described,
        calibration: this.#calibrationEntry(table),
        quantization: quantizationEntry(
          quantization.settings.recipe,
          quantization.products,
          quality,
          files.length === 0 ? undefined : files.reduce((sum, file) => sum + file.bytes, 0) / this.#bytes,
        ),
        files,
        passes: this.#runs.map(({ pass, stage, changed }) => ({ pass, stage, changed })),
        notes: [...(source?.notes ?? [])],
        warnings: this.#report.warnings,
      })
    if (!quantization.products.some(({ quantized }) => quantized))
      throw new QuantizationRefused(quantizationNothing(quantization.products.length), finish(undefined, []))
    let quality: Quality | undefined
    const files = await this.#write(async (temporary) => {
      quality = data && (await this.#compare(temporary, data.heldOut))
      if (!quality || quality.cosineMean >= minCosine) return
      const unlike = quantizationUnlike(quality.cosineMean, minCosine, quantization.noisiest?.product)
      throw new QuantizationRefused(unlike, finish(quality, []))
    })
    return finish(quality, files)
  }

  async #table(data: DataSource | undefined): Promise<CalibrationTable | ForeignTable> {
    const { calibration, range, signal, onBadSample } = this.#options
    if (calibration !== undefined) {
      const table = readTable(calibration)
      checkBelongs(table, this.#model, calibration)
      return table
    }
    if (data === undefined) throw usage('there is no data', 'Name it with --data SOURCE.')
    const onProgress = ({ done, total }: { done: number; total: number }) => this.#progress('calibrating', done, total)
    const histograms = range !== undefined && range !== 'min-max' && range !== 'moving-average'
    return collect(this.#model, data, { histograms, signal, onBadSample, onProgress })
  }

  /** Runs the passes; what rounding does to means is measured between them, on the model as it was calibrated. */
  async #adapt(quantization: Quantization, data: DataSource | undefined): Promise<void> {
    const steps = passes.filter(({ stage }) => stage === 'adapt' || stage === 'quantize')
    const measured = steps.findIndex(({ name }) => name === 'insert-qdq') + 1
    const { signal } = this.#options
    const run = (part: typeof steps) => {
      const settings = { target: targetOf(this.#options), quantization, report: this.#report }
      this.#runs.push(...runPipeline(this.#model, part, settings).runs)
    }
    run(steps.slice(0, measured))
    if (data && quantization.settings.biasCorrection) {
      const copy = openModel(this.#path)
      try {
        const onSample = (done: number) => this.#progress('measuring', done, data.size)
        await measureRounding(copy, quantization, (instrumented, visit, fetches) =>
          runOver(instrumented, data, visit, { fetches, onSample, ...(signal && { signal }) }),
        )
      } finally {
        closeModel(copy)
      }
    }
    run(steps.slice(measured))
  }

  #write(accept: (temporary: string) => Promise<void>): Promise<SavedFile[]> {
    const { externalData, overwrite, hash, signal } = this.#options
    const onProgress = (done: number, total: number) => this.#progress('writing', done, total)
    return saveModel(this.#model, this.#output, { externalData, overwrite, hash, signal, accept, onProgress })
  }

  #compare(temporary: string, data: DataSource): Promise<Quality | undefined> {
    this.#progress('comparing', 0, 1)
    const { signal } = this.#options
    return compareModels(this.#path, temporary, data.samples(), signal ? { signal } : {})
  }

  #calibrationEntry(table: CalibrationTable | ForeignTable): QuantizationDocument['calibration'] {
    const { calibration = null } = this.#options
    const own = 'samples' in table ? table : undefined
    return { samples: own?.samples.length ?? 0, synthetic: own?.data.synthetic ?? false, table: calibration }
  }

  #progress(phase: QuantizePhase, done: number, total: number): void {
    this.#options.onProgress?.(phase, done, total)
  }
}

function settingsOf(options: QuantizeOptions): QuantizationSettings {
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
