import type { Granularity, Outliers } from '../calibrate/index.ts'
import type { Warning } from '../rewrite/index.ts'
import type { HeadEntry } from './calibration.ts'
import type { Counts, FileEntry, MeasuredChange, ModelEntry, SiteEntry, schema, Verification } from './document.ts'
import type { Environment } from './environment.ts'
import type { Bins, ChannelMaxima, Clip } from './observed.ts'
import type { QuantizationEntry } from './quantization.ts'
import type { SensitivityDocument } from './sensitivity.ts'

/**
 * All that is known of a model and what became of it: what `report --json` prints, and the numbers of the page, no more
 * and no less. A part is null where nothing is known.
 */
export interface ModelReport {
  readonly schema: typeof schema
  readonly command: 'report'
  readonly model: ModelEntry | null
  readonly verdicts: VerdictsPart | null
  readonly outliers: OutliersPart | null
  readonly histograms: HistogramsPart | null
  readonly channels: ChannelsPart | null
  readonly attention: AttentionPart | null
  readonly errors: ErrorsPart | null
  readonly rounding: RoundingPart | null
  readonly quantization: QuantizationEntry | null
  readonly costs: CostsPart
  readonly data: DataPart | null
  readonly environment: Environment | null
  readonly verification: Verification | null
  readonly warnings: readonly Pick<Warning, 'code' | 'message'>[]
}

export interface VerdictsPart {
  readonly sites: readonly SiteEntry[]
  readonly counts: Counts
  readonly sink: string | number
}

/** The outlier metrics of what the weights are multiplied with, in the order of the graph. */
export interface OutliersPart {
  /** What a kurtosis is of; null where the document does not say. */
  readonly granularity: Granularity | null
  readonly layers: readonly OutlierLayer[]
}

export interface OutlierLayer {
  readonly value: string
  /** The node that gives it; null where that is not known, and for an input. */
  readonly node: string | null
  readonly before: Outliers
  /** Null where there is no model after, or none with this value. */
  readonly after: Outliers | null
}

export interface HistogramsPart {
  /** Those that reach furthest beyond where a method would clip; in the order of the graph. */
  readonly values: readonly (Bins & {
    readonly value: string
    readonly min: number
    readonly max: number
    readonly clips: readonly Clip[]
  })[]
  readonly leftOut: number
}

export interface ChannelsPart {
  readonly rows: readonly (ChannelMaxima & { readonly value: string })[]
  readonly leftOut: number
}

export interface AttentionPart {
  readonly sites: readonly AttentionSite[]
}

export interface AttentionSite {
  readonly node: string
  /** The calls that lead to the function it is in; null outside of functions. */
  readonly call: string | null
  /** Whether heads are known; when they are not, all rows are in one. */
  readonly perHead: boolean
  readonly heads: readonly AttentionHead[]
}

/** What Softmax1 does to the rows of a head: a row that summed to 1 sums to its mass. */
export interface AttentionHead extends Pick<HeadEntry, 'rows' | 'masked'> {
  /** The mean of `sigmoid(L)` over rows, `L = ln Σ exp(score)`; null for a head without rows. */
  readonly mass: number | null
  /** The mean of `sigmoid(-L)`: what is predicted to be lost at sink 0. */
  readonly change: number | null
  /** Share of the rows that lose more than a tenth at sink 0. */
  readonly changed: number | null
  /** The same with the sink that the site was given, or that calibration offers. */
  readonly sink: number | null
  readonly sinkMass: number | null
  readonly sinkChange: number | null
  /** The thousandth and the median of L. */
  readonly low: number | null
  readonly median: number | null
}

/** How far the outputs, and what is in front of them, are from those of the model before. */
export interface ErrorsPart {
  readonly outputs: readonly OutputError[]
  /** The worst first; null where layers were not compared. */
  readonly layers: readonly LayerError[] | null
  /** Whether every tolerance is kept, and in words which is not; null where there was none. */
  readonly ok: boolean | null
  readonly broken: readonly string[]
}

export interface OutputError {
  readonly name: string
  readonly maxAbs: number | null
  readonly meanAbs: number | null
  readonly cosine: number | null
  readonly sqnrDb: number | null
}

export interface LayerError {
  readonly value: string
  readonly node: string | null
  /** Of all there is at this place; null where it is not finite, or nothing differs. */
  readonly cosine: number | null
  readonly sqnrDb: number | null
  /** Of what the operator itself adds, fed with what the model before has there. */
  readonly introducedDb: number | null
}

/** What quantizing each product alone does to the outputs. */
export type RoundingPart = Pick<SensitivityDocument, 'recipe' | 'samples' | 'products'>

export interface CostsPart {
  readonly files: readonly (FileEntry & { readonly what: 'before' | 'after' })[]
  readonly sizeRatio: number | null
  readonly operators: { readonly before: OperatorCounts; readonly after: OperatorCounts | null } | null
  /** Time of the model after over that of the model before. */
  readonly latencyRatio: number | null
  /** On one thread; null where only the ratio was taken. */
  readonly milliseconds: { readonly before: number; readonly after: number } | null
}

export type OperatorCounts = Readonly<Record<string, number>>

export interface DataPart {
  readonly samples: number
  readonly synthetic: boolean
  readonly complete: boolean
  /** Of a run of both models; null where none was made. */
  readonly measured: Pick<MeasuredChange, 'samples'> | null
}
