/** Quantization on one screen: observe, migrate outliers, quantize, write, compare with the input on data it has not seen. */
import { basename, dirname, extname, join } from 'node:path'
import { passes } from '../passes/index.ts'
import type { CalibrationTable } from './calibrate/index.ts'
import { checkBelongs, collect, ForeignTable, measureRounding, readTable, runOver } from './calibrate/index.ts'
import type { Comparison } from './compare/index.ts'
import { compareModels } from './compare/index.ts'
import type { DataOptions, DataSource } from './data/index.ts'
import { openData } from './data/index.ts'
import { checkOutput } from './emit/index.ts'
import { quantizationNothing, quantizationUnlike, usage } from './errors.ts'
import { split } from './held-out.ts'
import type { Model } from './ir/index.ts'
import type { SavedFile } from './onnx/index.ts'
import { closeModel, modelSize, openModel, requireExternalData, saveModel } from './onnx/index.ts'
import { Facts } from './ops/index.ts'
import type { TargetOptions } from './options.ts'
import { targetOf } from './options.ts'
import type { QuantizationOptions } from './quantization-options.ts'
import { settingsOf } from './quantization-options.ts'
import { defaultSettings, findConvolutions, findProducts, Quantization } from './quantize/index.ts'
import { QuantizationRefused } from './refused.ts'
import type { QuantizationDocument } from './report/index.ts'
import { describeModel, describeQuantization, quantizationEntry } from './report/index.ts'
import type { Pass, PassRun, PipelineSettings } from './rewrite/index.ts'
import { Report, runPipeline } from './rewrite/index.ts'

export interface QuantizeOptions extends DataOptions, TargetOptions, QuantizationOptions {
  /** The data to calibrate and to compare on: what `openData` takes. */
  readonly data?: string | undefined
  /** A calibration table to use in the place of observing the data. */
  readonly calibration?: string | undefined
  /** File to write. Default: `NAME.int8.onnx` beside the model. */
  readonly output?: string | undefined
  readonly overwrite?: boolean | undefined
  readonly externalData?: 'auto' | 'always' | 'never' | 'link' | undefined
  readonly hash?: boolean | undefined
  /** Fold scalar arithmetic around convolutions into them first. Default true. */
  readonly optimize?: boolean | undefined
  readonly onProgress?: ((phase: QuantizePhase, done: number, total: number) => void) | undefined
}

export type QuantizePhase = 'calibrating' | 'measuring' | 'writing' | 'comparing'

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

/** DequantizeLinear takes one scale for each channel from this opset on. */
const perChannelOpset = 13

/** The passes, cut where something is measured: at the model that is calibrated, and at what its quantizers read. */
const steps = cutSteps()

function cutSteps() {
  const all = passes.filter(({ stage }) => stage === 'adapt' || stage === 'quantize')
  const [start, measured] = ['smooth-activations', 'insert-qdq'].map((name) => all.findIndex((p) => p.name === name))
  const end = (measured ?? 0) + 1
  return { prepare: all.slice(0, start), adapt: all.slice(start, end), store: all.slice(end) }
}

/** The table of a model that was not run. */
const nothingSeen = new ForeignTable('nothing', new Map())

/** One run of {@link quantize}. */
class Quantizer {
  readonly #task: QuantizationTask
  readonly #model: Model
  readonly #bytes: number
  readonly #options: QuantizeOptions
  readonly #report = new Report()
  readonly #runs: PassRun[] = []

  constructor(task: QuantizationTask, options: QuantizeOptions) {
    this.#task = task
    this.#model = task.model
    this.#bytes = modelSize(task.model).bytes + requireExternalData(task.model)
    this.#options = options
  }

  async run(): Promise<QuantizationDocument> {
    const { data: spec, synthetic, calibration, minCosine = 0.95 } = this.#options
    const isStatic = (this.#options.recipe ?? defaultSettings.recipe) === 'int8'
    if (isStatic && spec === undefined && !synthetic && calibration === undefined)
      throw usage('there is no data', 'Name it with --data SOURCE, or a table with --calibration TABLE.')
    const described = await describeModel(this.#model, this.#options)
    const source = spec === undefined && !synthetic ? undefined : await openData(spec, this.#model, this.#options)
    const data = source && split(source)
    if (this.#options.calibration === undefined) this.#run(this.#model, steps.prepare)
    const table = this.#isWorthCalibrating(data !== undefined) ? await this.#table(data?.calibration) : nothingSeen
    if (this.#options.calibration !== undefined) this.#run(this.#model, steps.prepare)
    const quantization = new Quantization(table.statistics, settingsOf(this.#options))
    await this.#quantize(quantization, data?.calibration)
    const finish = (quality: Comparison | undefined, files: readonly SavedFile[]) =>
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
    let quality: Comparison | undefined
    const files = await this.#write(async (temporary) => {
      quality = data && (await this.#compare(temporary, data.heldOut))
      const cosine = quality?.all?.cosine.mean
      if (cosine === undefined || cosine >= minCosine) return
      const unlike = quantizationUnlike(cosine, minCosine, quantization.noisiest?.product)
      throw new QuantizationRefused(unlike, finish(quality, []))
    })
    return finish(quality, files)
  }

  /** A recipe that needs no ranges, or a model without anything to quantize, need not run. */
  #isWorthCalibrating(hasData: boolean): boolean {
    const { recipe = defaultSettings.recipe, calibration } = this.#options
    if (!recipe.startsWith('int8') || !(hasData || calibration !== undefined)) return false
    const facts = new Facts()
    const { convolutions } = this.#options.convolutions ? findConvolutions(this.#model, facts) : { convolutions: [] }
    return findProducts(this.#model, facts).products.length + convolutions.length > 0
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
  async #quantize(quantization: Quantization, data: DataSource | undefined): Promise<void> {
    this.#run(this.#model, steps.adapt, quantization)
    if (data && quantization.settings.biasCorrection) await this.#measure(quantization, data)
    this.#run(this.#model, steps.store, quantization)
  }

  async #measure(quantization: Quantization, data: DataSource): Promise<void> {
    const { signal } = this.#options
    const copy = openModel(this.#task.file)
    const onSample = (done: number) => this.#progress('measuring', done, data.size)
    try {
      runPipeline(copy, steps.prepare, this.#settings())
      await measureRounding(copy, quantization, (instrumented, visit, fetches) =>
        runOver(instrumented, data, visit, { fetches, onSample, ...(signal && { signal }) }),
      )
    } finally {
      closeModel(copy)
    }
  }

  #run(model: Model, part: readonly Pass[], quantization?: Quantization): void {
    this.#runs.push(...runPipeline(model, part, { ...this.#settings(), quantization, report: this.#report }).runs)
  }

  #settings(): Pick<PipelineSettings, 'target' | 'opset' | 'switches'> {
    const { optimize = true } = this.#options
    return { target: targetOf(this.#options), opset: perChannelOpset, switches: optimize ? ['optimize'] : [] }
  }

  #write(accept: (temporary: string) => Promise<void>): Promise<SavedFile[]> {
    const { externalData, overwrite, hash, signal } = this.#options
    const onProgress = (done: number, total: number) => this.#progress('writing', done, total)
    return saveModel(this.#model, this.#task.output, { externalData, overwrite, hash, signal, accept, onProgress })
  }

  #compare(temporary: string, data: DataSource): Promise<Comparison> {
    this.#progress('comparing', 0, 1)
    return compareModels(this.#task.original, temporary, data.samples(), { timed: true, signal: this.#options.signal })
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
