/** A model that is observed once and quantized as often as asked: what quantize, its search and sensitivity stand on. */
import { passes } from '../passes/index.ts'
import type { CalibrationTable } from './calibrate/index.ts'
import {
  checkBelongs,
  collect,
  ForeignTable,
  measureRounding,
  measureSoftmax,
  readTable,
  runOver,
  withFile,
} from './calibrate/index.ts'
import type { DataSource } from './data/index.ts'
import type { Model } from './ir/index.ts'
import { closeModel, openModel } from './onnx/index.ts'
import { Facts } from './ops/index.ts'
import { targetOf } from './options.ts'
import type { QuantizeOptions, QuantizePhase } from './quantization-options.ts'
import { explicitOf } from './quantization-options.ts'
import type { QuantizationSettings } from './quantize/index.ts'
import {
  findConvolutions,
  findExplicitConvolutions,
  findProducts,
  float8Opset,
  perChannelOpset,
  Quantization,
} from './quantize/index.ts'
import type { Pass, PassRun, PipelineSettings } from './rewrite/index.ts'
import { Report, runPipeline } from './rewrite/index.ts'
import { checkQdq, raisedFor } from './targets/index.ts'

/** What a model is observed on, and which of what is seen will be asked for. */
export interface Observing {
  readonly data: DataSource | undefined
  readonly ranges: boolean
  readonly histograms: boolean
  /** Whether it is quantized to floats of 8 bits: operands of attention are, too, and the opset has to know them. */
  readonly float8: boolean
}

/** A prepared model, what was seen of it, and copies of it quantized in one way or another. */
export class Calibrated {
  readonly table: CalibrationTable | ForeignTable
  readonly report: Report
  readonly runs: PassRun[]
  readonly #path: string
  readonly #model: Model
  readonly #options: QuantizeOptions
  readonly #settings: Settings

  private constructor(path: string, model: Model, options: QuantizeOptions, observed: Observed) {
    const { table, report, runs, settings } = observed
    this.#path = path
    this.#model = model
    this.#options = options
    this.#settings = settings
    this.table = table
    this.report = report
    this.runs = [...runs]
  }

  /** Prepares the model, which is changed, and observes it, or reads the table it was observed in. */
  static async of(path: string, model: Model, observing: Observing, options: QuantizeOptions): Promise<Calibrated> {
    const given = options.calibration === undefined ? undefined : readTable(options.calibration)
    if (given) checkBelongs(given, model, options.calibration)
    const settings = settingsFor(options, observing.float8)
    const { runs, report } = runPipeline(model, steps.prepare, settings)
    const table = given ?? (await observed(model, observing, options))
    return new Calibrated(path, model, options, { table, report, runs, settings })
  }

  /** Quantizes the model itself; with `data` the means are corrected by what rounding does to them. */
  async quantize(settings: QuantizationSettings, data: DataSource | undefined): Promise<Quantization> {
    const quantization = new Quantization(this.table.statistics, settings)
    this.runs.push(...(await this.#quantize(this.#model, quantization, data, this.report)))
    return quantization
  }

  /** Gives `use` the file of a copy that is quantized so. */
  async candidate<T>(
    settings: QuantizationSettings,
    data: DataSource | undefined,
    use: (file: string, quantization: Quantization) => Promise<T>,
  ): Promise<T> {
    return this.#withCopy(async (copy) => {
      const quantization = new Quantization(this.table.statistics, settings)
      await this.#quantize(copy, quantization, data, new Report())
      return withFile(copy, (file) => use(file, quantization))
    })
  }

  /**
   * Lowers what is not quantized to half precision where that was asked for, and reports what the target cannot load of the
   * model as it is then, and which version of it the model needs.
   */
  finish(): void {
    const settings = this.#settings
    const { precision } = this.#options
    this.runs.push(...runPipeline(this.#model, steps.lower, { ...settings, precision, report: this.report }).runs)
    if (explicitOf(this.#options) !== undefined) warnOfExplicit(this.#model, this.report)
    const target = this.#options.targetVersion === undefined ? raisedFor(this.#model, settings.target) : settings.target
    runPipeline(this.#model, steps.check, { ...settings, target, report: this.report })
  }

  progress(phase: QuantizePhase, done: number, total: number): void {
    this.#options.onProgress?.(phase, done, total)
  }

  /** Runs the passes; what rounding does to means is measured between them, on the model as it was calibrated. */
  async #quantize(
    model: Model,
    quantization: Quantization,
    data: DataSource | undefined,
    report: Report,
  ): Promise<readonly PassRun[]> {
    const settings = { ...this.#settings, quantization, report }
    const smoothed = runPipeline(model, steps.smooth, settings)
    if (data) await this.#observeMoved(model, quantization, data)
    const inserted = runPipeline(model, steps.insert, settings)
    if (data && quantization.settings.biasCorrection) await this.#measure(measureRounding, quantization, data)
    if (data && quantization.settings.softmaxCorrection) await this.#measure(measureSoftmax, quantization, data)
    const stored = runPipeline(model, steps.store, settings)
    warnOfExtremes(quantization, report)
    return [...smoothed.runs, ...inserted.runs, ...stored.runs]
  }

  /** Runs the model whose outliers were moved: extremes of its channels say nothing of a range that clips. */
  async #observeMoved(model: Model, quantization: Quantization, data: DataSource): Promise<void> {
    const { range } = quantization.settings
    if (range === 'min-max' || quantization.migrations.all === 0) return
    const { signal, onBadSample } = this.#options
    const onProgress = ({ done, total }: { done: number; total: number }) => this.progress('measuring', done, total)
    const histograms = range !== 'moving-average'
    const { statistics } = await collect(model, data, { histograms, signal, onBadSample, onProgress })
    quantization.observed(statistics)
  }

  async #measure(measure: typeof measureRounding, quantization: Quantization, data: DataSource): Promise<void> {
    const { signal } = this.#options
    const onSample = (done: number) => this.progress('measuring', done, data.size)
    await this.#withCopy((copy) =>
      measure(copy, quantization, (instrumented, visit, fetches) =>
        runOver(instrumented, data, visit, { fetches, onSample, ...(signal && { signal }) }),
      ),
    )
  }

  async #withCopy<T>(use: (copy: Model) => Promise<T>): Promise<T> {
    const copy = openModel(this.#path)
    try {
      runPipeline(copy, steps.prepare, this.#settings)
      return await use(copy)
    } finally {
      closeModel(copy)
    }
  }
}

interface Observed extends Found {
  readonly table: CalibrationTable | ForeignTable
  readonly settings: Settings
}

interface Found {
  readonly report: Report
  readonly runs: readonly PassRun[]
}

/** Quantizes a model without having seen any of its values, as if all of them were small: what it would become. */
export function quantizeUnseen(
  model: Model,
  settings: QuantizationSettings,
  options: QuantizeOptions,
): Found & { readonly quantization: Quantization } {
  const range = { min: -1, max: 1 }
  const seen = { range, channels: undefined, rangeBy: () => range }
  const quantization = new Quantization(() => seen, settings)
  const all = [...steps.prepare, ...steps.smooth, ...steps.insert, ...steps.store, ...steps.lower, ...steps.check]
  const base = settingsFor(options, settings.recipe === 'fp8')
  const target = options.targetVersion === undefined ? raisedFor(model, base.target) : base.target
  const { report, runs } = runPipeline(model, all, { ...base, target, quantization, precision: options.precision })
  return { quantization, report, runs }
}

type Settings = Pick<PipelineSettings, 'target' | 'opset' | 'switches'>

function settingsFor(options: QuantizeOptions, float8: boolean): Settings {
  const { optimize = true, precision } = options
  const opset = float8 || precision !== undefined ? float8Opset : perChannelOpset
  return { target: targetOf(options), opset, switches: optimize ? ['optimize'] : [] }
}

/** The passes, cut where something is measured: at the model that is calibrated, and at what its quantizers read. */
const steps = cutSteps()

function cutSteps(): Readonly<Record<'prepare' | 'smooth' | 'insert' | 'store' | 'lower' | 'check', readonly Pass[]>> {
  const all = passes.filter(({ stage }) => stage === 'adapt' || stage === 'quantize')
  const [start, measured] = ['smooth-activations', 'insert-qdq'].map((name) => all.findIndex((p) => p.name === name))
  const end = (measured ?? 0) + 1
  return {
    prepare: all.slice(0, start),
    smooth: all.slice(start, measured),
    insert: all.slice(measured, end),
    store: all.slice(end),
    lower: passes.filter(({ name }) => name === 'lower-precision'),
    check: passes.filter(({ name }) => name === 'check-target'),
  }
}

/** What TensorRT would refuse, or run without the kernels that were meant: our own placement, or Q/DQ that were there before. */
function warnOfExplicit(model: Model, report: Report): void {
  for (const { rule, node, message, advice } of checkQdq(model))
    report.warn(`explicit-${rule}`, `${message}. ${advice}`, { node })
}

/** A range that was asked for and not taken is said. */
function warnOfExtremes({ settings, migrations: { all, unseen } }: Quantization, report: Report): void {
  if (settings.range === 'min-max' || unseen === 0) return
  const method = typeof settings.range === 'string' ? settings.range : `percentile ${settings.range.percentile}`
  const message =
    `${unseen} of ${all} values whose outliers were moved take the range of their extremes, not of "${method}": they were ` +
    'not there at calibration. Give data in the place of a table, or leave outliers where they are with --no-smooth'
  report.warn('range-not-used', message)
}

async function observed(
  model: Model,
  { data, ranges, histograms, float8 }: Observing,
  options: QuantizeOptions,
): Promise<CalibrationTable | ForeignTable> {
  if (!data || !ranges || !hasProducts(model, options)) return nothingSeen
  const { signal, onBadSample } = options
  const onProgress = ({ done, total }: { done: number; total: number }) =>
    options.onProgress?.('calibrating', done, total)
  const all = options.protocol !== undefined || float8
  return collect(model, data, { all, histograms, signal, onBadSample, onProgress })
}

/** The table of a model that was not run. */
const nothingSeen = new ForeignTable('nothing', new Map())

/** A model without anything to quantize need not run. */
function hasProducts(model: Model, options: QuantizeOptions): boolean {
  const facts = new Facts()
  const found = explicitOf(options) === undefined ? findConvolutions : findExplicitConvolutions
  const convolutions = options.convolutions ? found(model, facts).convolutions : []
  return findProducts(model, facts).products.length + convolutions.length > 0
}
