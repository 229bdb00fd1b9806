import type {
  CalibrationTable,
  Granularity,
  HeadChange,
  HeadRows,
  Outliers,
  SinkTarget,
  SiteState,
} from '../calibrate/index.ts'
import { calibratedSink, changeOf, outliersOf, quantile } from '../calibrate/index.ts'
import type { ModelEntry } from './document.ts'
import { schema } from './document.ts'
import type { Environment } from './environment.ts'
import type { ObservedEntry } from './observed.ts'

/** What is known of the rows of one attention head. */
export interface HeadEntry {
  readonly rows: number
  /** Rows all of whose keys are hidden. */
  readonly masked: number
  /** Quantiles of `L = ln Σ exp(score)`; null for a head without rows. */
  readonly logsumexp: { readonly lowest: number; readonly low: number; readonly median: number } | null
  /** What Softmax1 with sink 0 changes: the mean factor, and the share of rows that lose more than a tenth. */
  readonly zeroSink: HeadChange | null
  /** The sink that keeps the change small, and what it changes. */
  readonly calibrated: ({ readonly sink: number } & HeadChange) | null
}

export interface SiteCalibration {
  /** `''` for the main graph, else the path of the nested graph or function. */
  readonly graph: string
  readonly node: string
  /** The calls that lead to the function it is in; null outside of functions. */
  readonly call: string | null
  /** Why no rows were seen: goes on a sentence that begins with the name of the node. Null where some were. */
  readonly unobserved: string | null
  /** Whether `heads` are those of the model; when they are not known, all rows are in one entry. */
  readonly perHead: boolean
  readonly heads: readonly HeadEntry[]
}

/** What a calibration table says about attention. */
export interface CalibrationEntry {
  readonly path: string | null
  readonly samples: number
  readonly complete: boolean
  readonly synthetic: boolean
  readonly sites: readonly SiteCalibration[]
}

/** What `--json` prints for `calibrate`. */
export interface CalibrationDocument {
  readonly schema: typeof schema
  readonly command: 'calibrate'
  /** Null where tables were merged. */
  readonly model: ModelEntry | null
  readonly table: { readonly path: string; readonly bytes: number }
  readonly data: {
    readonly kind: string
    readonly samples: number
    readonly skipped: number
    readonly synthetic: boolean
  }
  readonly complete: boolean
  readonly values: number
  /** By value, where moments were observed. */
  readonly outliers: Readonly<Record<string, Outliers>> | null
  /** What a kurtosis is of; null where moments were not observed. */
  readonly granularity: Granularity | null
  readonly sites: readonly SiteCalibration[]
  readonly notes: readonly string[]
  /** What a page is drawn of; only where a report was asked for. */
  readonly observed?: ObservedEntry
  readonly environment?: Environment
}

interface TableFile {
  readonly model: ModelEntry | null
  readonly path: string
  readonly bytes: number
  readonly notes: readonly string[]
}

export function describeCalibration(
  { model, path, bytes, notes }: TableFile,
  table: CalibrationTable,
): CalibrationDocument {
  const { data, samples, skipped, values, watching } = table
  const spoiled = [...values].filter(([, state]) => state.notFinite > 0)
  const spoiledNotes = spoiled.map(([name, { notFinite }]) => `"${name}" was not finite in ${notFinite} samples`)
  const skippedNotes = skipped.map(({ reason }) => reason)
  const { moments } = watching
  return {
    ...{ schema, command: 'calibrate', model },
    table: { path, bytes },
    data: { kind: data.kind, samples: samples.length, skipped: skipped.length, synthetic: data.synthetic },
    ...{ complete: table.isComplete, values: values.size },
    outliers: moments === undefined ? null : outliersIn(table, moments),
    granularity: moments ?? null,
    sites: describeSites(table.sites),
    notes: [...notes, ...skippedNotes, ...spoiledNotes],
  }
}

/** What a table says about attention, by the path it was read from. */
export function calibrationEntry(path: string | null, table: CalibrationTable, target?: SinkTarget): CalibrationEntry {
  const { samples, isComplete: complete, data } = table
  return {
    ...{ path, complete },
    samples: samples.length,
    synthetic: data.synthetic,
    sites: describeSites(table.sites, target),
  }
}

function outliersIn(
  { values }: CalibrationTable,
  granularity: Parameters<typeof outliersOf>[1],
): Record<string, Outliers> {
  const seen = [...values].flatMap(([name, { moments }]) => (moments ? [[name, outliersOf(moments, granularity)]] : []))
  return Object.fromEntries(seen)
}

function describeSites(sites: readonly SiteState[], target?: SinkTarget): SiteCalibration[] {
  return sites.map(({ graph, node, call, heads, logsumexp, unobserved }) => ({
    ...{ graph, node },
    call: call === '' ? null : call,
    unobserved: unobserved ?? (isReached(logsumexp) ? null : notReached),
    perHead: heads !== undefined,
    heads: logsumexp.map((head) => describeHead(head, target)),
  }))
}

/** Of a branch that no sample takes, or a loop without a step. */
const notReached = 'was reached by no sample'

function isReached(heads: readonly HeadRows[]): boolean {
  return heads.some(({ rows, masked }) => rows.counts.length + masked > 0)
}

function describeHead(head: HeadRows, target: SinkTarget | undefined): HeadEntry {
  const { rows, masked } = head
  const count = Array.from(rows.counts).reduce((sum, n) => sum + n, 0)
  const sink = calibratedSink(head, target)
  const change = sink === undefined ? undefined : changeOf(head, sink)
  const [lowest, low, median] = [0, target?.quantile ?? 0.001, 0.5].map((q) => quantile(rows, q)) as [
    number,
    number,
    number,
  ]
  return {
    ...{ rows: count, masked },
    logsumexp: count === 0 ? null : { lowest, low, median },
    zeroSink: changeOf(head) ?? null,
    calibrated: sink === undefined || change === undefined ? null : { sink, ...change },
  }
}
