/** The sinks of a conversion: chosen by the user, or head by head from what calibration saw of the rows of attention. */
import type { Site } from './attention/index.ts'
import type { CalibrationTable, Outliers, SinkTarget } from './calibrate/index.ts'
import type { DataSource } from './data/index.ts'
import { sinkWithoutCalibration, usage } from './errors.ts'
import { split } from './held-out.ts'
import type { Model, Value } from './ir/index.ts'
import type { ConvertOptions } from './options.ts'
import { sinkOf } from './options.ts'
import type { MeasuredChange, MeasuredOutliers, OutlierFigures, ReportDocument, SiteChange } from './report/index.ts'
import { changeEntry } from './report/index.ts'
import type { HeadScaleOf, SinkOf } from './rewrite/index.ts'
import { noted, notVerified } from './sink-checks.ts'

/** What sinks there will be, and what they are known to change. */
export interface SinkPlan {
  /** In words: `calibrated`, `zero`, `zero, not verified`, `by site`, or the number. */
  readonly words: string | number
  readonly sink: number | SinkOf
  /** What heads are multiplied by to have the mean they had; undefined where that was not asked for. */
  readonly headScale: HeadScaleOf | undefined
  readonly calibration: Calibration | undefined
  /** What the sink of a converted site changes, by the rows that were seen; undefined for a site that was not observed. */
  changeOf(site: ConvertedSite): SiteChange | undefined
  /** The report with what calibration saw, and what follows from it. */
  describe(document: ReportDocument): ReportDocument
}

interface ConvertedSite {
  /** The path of its graph, and the value it was found by. */
  readonly graph: string
  readonly output: string
  readonly sink: SiteSink
}

export type SiteSink = number | readonly number[] | null

/** What the sinks stand on. */
export interface Calibration {
  readonly table: CalibrationTable
  /** Undefined for a table from a file. */
  readonly data: DataSource | undefined
}

/**
 * Finds out which sinks to give. Runs the model over the data when there is some: with data or a table the default is
 * `calibrated`, without any of them zero, which is Softmax1 as published.
 *
 * Throws `usage` where sinks are to be calibrated and there is nothing to do it by, and as opening data and tables does.
 */
export async function planSinks(model: Model, options: ConvertOptions): Promise<SinkPlan> {
  checkSource(options)
  const calibration = await calibrationFor(model, options)
  const { sink = calibration === undefined ? 'zero' : 'calibrated' } = options
  if (sink === 'calibrated' && calibration === undefined) throw sinkWithoutCalibration()
  checkFold(options, sink, calibration)
  if (calibration === undefined) {
    return {
      words: words(sink, false),
      sink: fixed(sink),
      headScale: undefined,
      calibration,
      changeOf: () => undefined,
      describe: (document) => document,
    }
  }
  const [{ rowsBySite }, { calibrationEntry }, { observedEntry }] = await Promise.all([
    import('./calibrate/index.ts'),
    import('./report/calibration.ts'),
    import('./report/observed.ts'),
  ])
  const seen = rowsBySite(calibration.table)
  const target: SinkTarget = { maxChange: options.maxChange, quantile: options.sinkQuantile }
  const calibrated: SinkOf = (site, found) => {
    const sinks = seen(site.graphPath, found.name)?.sinks(target)
    return sinks === undefined ? 0 : fitting(complete(sinks), site)
  }
  const fixedSink = sink === 'zero' || sink === 'calibrated' ? 0 : sink
  const scaleOf: HeadScaleOf = (site, found) => {
    if (site.graph !== model.graph) return undefined
    const changes = seen('', found.name)?.changes((head) => sinkAt(fixedSink, site, found, head))
    return changes?.map((change) => 1 / (change?.gate ?? 1))
  }
  return {
    words: words(sink, true),
    sink: sink === 'calibrated' ? calibrated : fixed(sink),
    headScale: options.foldScale ? scaleOf : undefined,
    calibration,
    changeOf({ graph, output, sink: given }) {
      const rows = seen(graph, output)
      if (!rows?.isSeen || given === null) return undefined
      const changes = rows.changes((head) => (typeof given === 'number' ? given : (given[head] as number)))
      const gates = changes.map((change) => change?.gate ?? 1)
      const worst = gates.indexOf(Math.min(...gates))
      return {
        gate: gates.reduce((sum, gate) => sum + gate, 0) / gates.length,
        changed: Math.max(...changes.map((change) => change?.changed ?? 0)),
        worst: { head: worst, gate: gates[worst] as number },
        heads: gates,
      }
    },
    describe(document) {
      const { table, data } = calibration
      const warnings = table.data.synthetic ? [{ code: 'synthetic', message: syntheticData }] : []
      const path = options.calibration ?? data?.manifest.files[0]?.name ?? null
      const entry = calibrationEntry(path, table, target)
      return {
        ...document,
        sites: sink === 'calibrated' ? document.sites.map((site) => noted(site, entry)) : document.sites,
        calibration: entry,
        change: changeEntry(document.sites, null),
        ...(options.observations && { observed: observedEntry(table, model.graph) }),
        warnings: [...document.warnings, ...warnings, ...(sink === 'calibrated' ? [] : notVerified(document, entry))],
      }
    },
  }
}

const syntheticData =
  'the calibration data was made up: the sinks keep no real outputs, and nothing measured here says how the result does'

function words(sink: NonNullable<ConvertOptions['sink']>, observed: boolean): string | number {
  if (typeof sink === 'function') return 'by site'
  if (sink === 'calibrated') return sink
  if (sink === 'zero' || sink === 0) return observed ? 'zero' : 'zero, not verified'
  return Number.isFinite(sink) ? sink : String(sink)
}

function fixed(sink: NonNullable<ConvertOptions['sink']>): number | SinkOf {
  return sinkOf(typeof sink === 'string' ? 0 : sink)
}

/** A head that saw no row but hidden ones takes the lowest sink of its neighbours: it changes least. */
function complete(sinks: readonly (number | undefined)[]): number | readonly number[] {
  const known = sinks.filter((sink) => sink !== undefined)
  const lowest = known.length === 0 ? 0 : Math.min(...known)
  const all = sinks.map((sink) => sink ?? lowest)
  return all.length === 1 ? (all[0] as number) : all
}

/** One sink for all heads where the heads that were seen are not to be told apart in the site as it is now: the lowest. */
function fitting(sinks: number | readonly number[], { heads, verdict }: Site): number | readonly number[] {
  if (typeof sinks === 'number' || verdict.kind !== 'attention' || heads?.count === sinks.length) return sinks
  return Math.min(...sinks)
}

function sinkAt(sink: number | SinkOf, site: Site, found: Value, head: number): number {
  const given = typeof sink === 'function' ? sink(site, found) : sink
  return typeof given === 'number' ? given : (given[head] as number)
}

function checkFold({ foldScale }: ConvertOptions, sink: unknown, calibration: Calibration | undefined): void {
  if (!foldScale) return
  if (sink === 'calibrated')
    throw usage('calibrated sinks leave heads their scale', 'Leave --fold-scale out, or ask for --sinks zero.')
  if (calibration === undefined)
    throw usage(
      '--fold-scale needs to know what the sink takes',
      'Give data with --data, or a table with --calibration.',
    )
}

function checkSource({ calibration, data, maxChange, sinkQuantile }: ConvertOptions): void {
  if (calibration !== undefined && data !== undefined)
    throw usage('a calibration table and data exclude each other', 'Give the table, or the data to make one of.')
  checkShare('maxChange', maxChange)
  checkShare('sinkQuantile', sinkQuantile)
}

function checkShare(name: string, share: number | undefined): void {
  if (share !== undefined && !(share > 0 && share < 1))
    throw usage(`the share "${name}" is ${share}, and has to be between 0 and 1`, 'Write 1 % as 0.01 or 1%.')
}

async function calibrationFor(model: Model, options: ConvertOptions): Promise<Calibration | undefined> {
  const { calibration, data: spec, dataOptions = {}, signal, onProgress } = options
  if (calibration !== undefined) {
    const { checkBelongs, readOwnTable } = await import('./calibrate/index.ts')
    const table = readOwnTable(calibration)
    checkBelongs(table, model, calibration)
    return { table, data: undefined }
  }
  if (spec === undefined && !dataOptions.synthetic) return undefined
  const { openData } = await import('./data/index.ts')
  const all = await openData(spec, model, { ...dataOptions, signal })
  // What a quantized result is compared on is not what its sinks were made by.
  const data = options.quantize === undefined ? all : split(all).calibration
  const { collect } = await import('./calibrate/index.ts')
  const table = await collect(model, data, {
    ...{ histograms: options.observations ?? false, moments: 'tensor', onBadSample: dataOptions.onBadSample, signal },
    onProgress: ({ done, total }) => onProgress?.('calibrate', done, total),
  })
  return { table, data }
}

/** The report with what was measured of the change. */
export function withMeasured(document: ReportDocument, measured: MeasuredChange | null): ReportDocument {
  return document.change ? { ...document, change: { ...document.change, measured } } : document
}

/** Samples both models are run on after a conversion. */
const mostMeasured = 32

/**
 * Runs the model and what became of it on the data of the calibration: how near the outputs are, and what the outliers of
 * activations were and are. Null where there is no data, or no original to run.
 */
export async function measureChange(
  original: string | Uint8Array | undefined,
  converted: string,
  { calibration }: SinkPlan,
  { signal, onProgress }: ConvertOptions,
): Promise<MeasuredChange | null> {
  const data = calibration?.data
  if (calibration === undefined || data === undefined || original === undefined) return null
  const samples = Math.min(mostMeasured, data.size)
  const { compareModels } = await import('./compare/index.ts')
  const { outputs } = await compareModels(original, converted, data.samples(), {
    ...{ samples, signal },
    onProgress: (done) => onProgress?.('compare', done, samples),
  })
  const { table } = calibration
  // A model without weights, such as a part of one.
  if (table.values.size === 0) return { samples, outputs, outliers: null }
  const after = await observeAgain(converted, data, signal)
  return { samples, outputs, outliers: await compareOutliers(table, after) }
}

async function observeAgain(
  path: string,
  data: DataSource,
  signal: AbortSignal | undefined,
): Promise<CalibrationTable> {
  const [{ closeModel, openModel }, { collect }] = await Promise.all([
    import('./onnx/index.ts'),
    import('./calibrate/index.ts'),
  ])
  const model = openModel(path)
  try {
    return await collect(model, data, { histograms: false, moments: 'tensor', onBadSample: 'skip', signal })
  } finally {
    closeModel(model)
  }
}

async function compareOutliers(before: CalibrationTable, after: CalibrationTable): Promise<MeasuredOutliers> {
  const { outliersOf } = await import('./calibrate/index.ts')
  const ofEach = ({ values }: CalibrationTable) =>
    new Map([...values].flatMap(([name, { moments }]) => (moments ? [[name, outliersOf(moments, 'tensor')]] : [])))
  const [was, is] = [ofEach(before), ofEach(after)]
  const layers = Array.from(was, ([value, seen]) => ({ value, before: seen, after: is.get(value) ?? null }))
  // An operator that was opened multiplies values that nobody could see before.
  const both = new Set([...was.keys()].filter((name) => is.has(name)))
  const figures = (all: ReadonlyMap<string, Outliers>) =>
    figuresOf([...all].flatMap(([name, outliers]) => (both.size === 0 || both.has(name) ? [outliers] : [])))
  return { before: figures(was), after: figures(is), layers }
}

function figuresOf(all: readonly Outliers[]): OutlierFigures {
  return {
    kurtosis: all.reduce((sum, { kurtosis }) => sum + kurtosis, 0) / all.length,
    infinityNorm: all.reduce((max, { infinityNorm }) => Math.max(max, infinityNorm), 0),
  }
}
