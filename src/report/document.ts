import type { VerdictKind } from '../attention/index.ts'
import type { Outliers } from '../calibrate/index.ts'
import type { OutputSimilarity } from '../compare/index.ts'
import type { Warning } from '../rewrite/index.ts'
import type { CalibrationEntry } from './calibration.ts'
import type { Environment } from './environment.ts'
import type { ObservedEntry } from './observed.ts'
import type { QuantizationEntry } from './quantization.ts'
import type { BuildEntry } from './target-check.ts'

/** The number in `schema`; raised when a field changes its meaning or goes away. */
export const schema = 1

/** A file by path; `sha256` is null unless hashes were asked for. */
export interface FileEntry {
  readonly path: string
  readonly bytes: number
  readonly sha256: string | null
}

export interface ModelEntry {
  /** Null for a model that was given in memory. */
  readonly path: string | null
  /** Bytes of the model file, without external data. */
  readonly bytes: number
  readonly sha256: string | null
  readonly irVersion: number
  /** Opset version by domain; `""` is the default domain. */
  readonly opsets: Readonly<Record<string, number>>
}

/** One softmax, one spelling of it, or one fused attention operator. */
export interface SiteEntry {
  readonly node: string
  /** `""` for the main graph, `If_12/then_branch` for a nested one, `function:domain.name` for a function body. */
  readonly graph: string
  readonly op: string
  readonly spelling: string
  readonly verdict: VerdictKind
  readonly reason: string | null
  readonly message: string
  readonly converted: boolean
  readonly form: string | null
  readonly formReason: string | null
  readonly rejectedForms: readonly { readonly form: string; readonly reason: string }[]
  /** The logit added to the denominator; null for a site that has none, and in place of a number that is not finite. */
  readonly sink: number | readonly (number | null)[] | null
  /** What the sink changes, by the rows that calibration saw; null where there was none. */
  readonly change: SiteChange | null
  readonly notes: readonly string[]
}

/** What Softmax1 with a sink does to the rows of a site that was trained with softmax. */
export interface SiteChange {
  /** The mean over rows and heads of the factor `g = sigmoid(L - sink)` by which a row is multiplied; 1 is no change. */
  readonly gate: number
  /** Share of the rows that lose more than a tenth, of the head where it is largest. */
  readonly changed: number
  /** The head that changes most. */
  readonly worst: { readonly head: number; readonly gate: number }
  /** The mean factor of every head; of all rows together where heads are not known. */
  readonly heads: readonly number[]
}

/** What a conversion changes, as far as data says. */
export interface ChangeEntry {
  /** By the rows that calibration saw: over all converted sites, and the head that changes most. */
  readonly predicted: {
    readonly gate: number
    readonly worst: { readonly node: string; readonly head: number; readonly gate: number }
  }
  /** By running both models; null where there was no data, or no file to run. */
  readonly measured: MeasuredChange | null
}

export interface MeasuredChange {
  readonly samples: number
  readonly outputs: readonly OutputSimilarity[]
  /** Over what the weights are multiplied with: mean kurtosis, and the largest magnitude. */
  readonly outliers: MeasuredOutliers | null
}

export interface MeasuredOutliers {
  readonly before: OutlierFigures
  readonly after: OutlierFigures
  /** Value by value, in the order of the graph; `after` is null for a value the result does not have. */
  readonly layers: readonly { readonly value: string; readonly before: Outliers; readonly after: Outliers | null }[]
}

export interface OutlierFigures {
  readonly kurtosis: number
  readonly infinityNorm: number
}

export interface Counts {
  readonly sites: number
  /** Attention with plain softmax in the input, whether converted or left: verdicts `attention` and `fused`. */
  readonly attention: number
  readonly converted: number
  /** Softmax1 in the input already. */
  readonly already: number
  /** Neither converted nor Softmax1 nor to be reviewed. */
  readonly left: number
  readonly review: number
}

/** What came of the run in ONNX Runtime. */
export interface Verification {
  readonly loaded: boolean
  readonly ran: boolean
  /** Why it was not loaded or not run. */
  readonly reason: string | null
}

/** What `--json` prints for `convert` and `explain`. */
export interface ReportDocument {
  readonly schema: typeof schema
  readonly command: 'convert' | 'explain'
  readonly model: ModelEntry
  readonly target: { readonly name: string; readonly version: string | null; readonly provider: string }
  /** What the result needs: the oldest runtime version, and the only provider it is right on (null: any). */
  readonly requires: {
    readonly runtime: string | null
    readonly provider: string | null
    readonly reasons: readonly string[]
  }
  /** `zero, not verified`: Softmax1 itself, no calibration data; `calibrated`; else the sink that was asked for. */
  readonly sink: string | number
  readonly sites: readonly SiteEntry[]
  readonly counts: Counts
  /** What was written, the model first. */
  readonly files: readonly FileEntry[]
  readonly verification: Verification | null
  /** What a calibration table says, where one was given. */
  readonly calibration?: CalibrationEntry
  /** What a conversion changes; null where nothing is known of the data. */
  readonly change?: ChangeEntry | null
  /** What became of the products with weights, where the result was quantized too; the quality is against the input model. */
  readonly quantization?: QuantizationEntry
  /** How an engine is built of the result, where the target builds engines. */
  readonly build?: BuildEntry
  /** Passes in the order they ran, with the number of places each changed. */
  readonly passes: readonly { readonly pass: string; readonly stage: string; readonly changed: number }[]
  readonly warnings: readonly Warning[]
  /** What a page is drawn of; only where a report was asked for. */
  readonly observed?: ObservedEntry
  readonly operators?: OperatorsEntry
  readonly environment?: Environment
}

/** Nodes by operator, nested graphs and functions included, most frequent first. */
export interface OperatorsEntry {
  readonly before: Readonly<Record<string, number>>
  readonly after: Readonly<Record<string, number>> | null
}

const plainAttention: readonly VerdictKind[] = ['attention', 'fused']

/** Counts that add up: `sites = converted + already + left + review`. */
export function countSites(sites: readonly Pick<SiteEntry, 'verdict' | 'converted'>[]): Counts {
  const count = (test: (site: (typeof sites)[number]) => boolean) => sites.filter(test).length
  const converted = count((site) => site.converted)
  const already = count((site) => !site.converted && site.verdict === 'already-softmax1')
  const review = count((site) => !site.converted && site.verdict === 'review')
  const attention = count((site) => plainAttention.includes(site.verdict))
  return {
    sites: sites.length,
    attention,
    converted,
    already,
    review,
    left: sites.length - converted - already - review,
  }
}

/** Sites that are attention and still normalise with plain softmax, or might: what `--require-all` refuses. */
export function unconverted(sites: readonly SiteEntry[]): readonly SiteEntry[] {
  const mayBe: readonly VerdictKind[] = [...plainAttention, 'review']
  return sites.filter((site) => !site.converted && mayBe.includes(site.verdict))
}

/** Whether every attention of the input is Softmax1 already, and there is some. */
export function isAllSoftmax1({ counts, sites }: Pick<ReportDocument, 'counts' | 'sites'>): boolean {
  return counts.converted === 0 && counts.already > 0 && unconverted(sites).length === 0
}

/** A number as JSON has it: null when it is not finite. */
export function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null
}
