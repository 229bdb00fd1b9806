import type { Outliers } from '../calibrate/index.ts'
import { attentionOf } from './attention-part.ts'
import type { CalibrationDocument } from './calibration.ts'
import type { ComparisonDocument } from './comparison.ts'
import type { ReportDocument } from './document.ts'
import { schema } from './document.ts'
import { errorsOf } from './errors-part.ts'
import type { Inspection } from './inspection.ts'
import type {
  ChannelsPart,
  CostsPart,
  DataPart,
  HistogramsPart,
  ModelReport,
  OutliersPart,
  VerdictsPart,
} from './model-report.ts'
import type { ObservedEntry, ObservedValue } from './observed.ts'
import type { QuantizationDocument } from './quantization.ts'
import type { SensitivityDocument } from './sensitivity.ts'

/** A document that a report can be made of. */
export type SourceDocument =
  | ReportDocument
  | CalibrationDocument
  | QuantizationDocument
  | SensitivityDocument
  | Inspection
  | ComparisonDocument

/** The commands whose documents a report can be made of, and the report itself. */
export const sourceCommands = [
  ...['convert', 'explain', 'calibrate', 'quantize', 'sensitivity', 'inspect', 'compare', 'report'],
] as const

/** Histograms that are drawn: more of them nobody looks at. */
const mostHistograms = 36
/** Rows of the heat map of channels. */
const mostRows = 128

/**
 * What several documents about one model say together. Of two calibrations or inspections the first is of the model before,
 * the second of the model after.
 */
export function gatherReport(documents: readonly SourceDocument[]): ModelReport {
  const sources = sorted(documents)
  const { runs, calibrations, quantizations } = sources
  const run = runs.find(({ command }) => command === 'convert') ?? runs[0]
  const observed = [...runs, ...calibrations, ...quantizations].map((source) => source.observed).find((entry) => entry)
  const named = [
    run,
    ...calibrations,
    ...quantizations,
    ...sources.inspections,
    ...sources.sensitivities,
    ...sources.comparisons,
  ]
  const [sensitivity] = sources.sensitivities
  return {
    ...{ schema, command: 'report' },
    model: named.map((source) => source?.model).find((model) => model) ?? null,
    verdicts: run ? verdictsOf(run) : null,
    outliers: outliersOf(sources, observed),
    histograms: observed ? histogramsOf(observed) : null,
    channels: observed ? channelsOf(observed) : null,
    attention: attentionOf(run, calibrations[0]),
    errors: errorsOf(sources),
    rounding: sensitivity ? roundingOf(sensitivity) : null,
    quantization: run?.quantization ?? quantizations[0]?.quantization ?? null,
    costs: costsOf(sources),
    data: dataOf(sources),
    environment:
      [...runs, ...calibrations, ...quantizations, ...sources.comparisons]
        .map((source) => source.environment)
        .find((e) => e) ?? null,
    verification: run?.verification ?? null,
    warnings: [...runs, ...quantizations].flatMap(({ warnings }) =>
      warnings.map(({ code, message }) => ({ code, message })),
    ),
  }
}

/** Documents by what they are of. */
export interface Sources {
  readonly runs: readonly ReportDocument[]
  readonly calibrations: readonly CalibrationDocument[]
  readonly quantizations: readonly QuantizationDocument[]
  readonly sensitivities: readonly SensitivityDocument[]
  readonly inspections: readonly Inspection[]
  readonly comparisons: readonly ComparisonDocument[]
}

function sorted(documents: readonly SourceDocument[]): Sources {
  const of = <C extends SourceDocument['command']>(...commands: readonly C[]) =>
    documents.filter(({ command }) => commands.some((name) => name === command)) as Extract<
      SourceDocument,
      { command: C }
    >[]
  return {
    runs: documents.filter((d): d is ReportDocument => d.command === 'convert' || d.command === 'explain'),
    calibrations: of('calibrate'),
    quantizations: of('quantize'),
    sensitivities: of('sensitivity'),
    inspections: of('inspect'),
    comparisons: of('compare'),
  }
}

function verdictsOf({ sites, counts, sink }: ReportDocument): VerdictsPart {
  return { sites, counts, sink }
}

/** Layer by layer: of a conversion with data, of one or two calibrations with moments, or of a comparison. */
function outliersOf(
  { runs, calibrations, comparisons }: Sources,
  observed: ObservedEntry | undefined,
): OutliersPart | null {
  const nodes = new Map(observed?.values.map(({ value, node }) => [value, node]))
  const withNode = <L extends { readonly value: string }>(layer: L) => ({
    ...layer,
    node: nodes.get(layer.value) ?? null,
  })
  const measured = runs.map(({ change }) => change?.measured?.outliers).find((entry) => entry)
  if (measured?.layers) return { granularity: 'tensor', layers: measured.layers.map(withNode) }
  const [first, second] = calibrations.filter(({ outliers }) => outliers !== null)
  const compared = comparisons.map(({ outliers }) => outliers).find((entry) => entry)
  if (!first?.outliers) return compared ? { granularity: 'sequence', layers: compared.layers.map(withNode) } : null
  const after: Readonly<Record<string, Outliers>> = second?.outliers ?? {}
  const layers = Object.entries(first.outliers).map(([value, before]) =>
    withNode({ value, before, after: after[value] ?? null }),
  )
  return { granularity: first.granularity ?? null, layers }
}

function histogramsOf({ values }: ObservedEntry): HistogramsPart | null {
  const drawn = values.filter(({ histogram }) => histogram !== null)
  if (drawn.length === 0) return null
  return {
    values: most(drawn, mostHistograms, beyondClips).map(({ value, range, histogram, clips }) => ({
      ...(histogram as NonNullable<typeof histogram>),
      ...{ value, min: range.min, max: range.max, clips },
    })),
    leftOut: Math.max(0, drawn.length - mostHistograms),
  }
}

/** How many times wider the range of a value is than the narrowest that a method makes of it. */
function beyondClips({ range, clips }: ObservedValue): number {
  const widths = clips.map(({ min, max }) => max - min).filter((width) => width > 0)
  return widths.length === 0 ? 1 : (range.max - range.min) / Math.min(...widths)
}

function channelsOf({ values }: ObservedEntry): ChannelsPart | null {
  const drawn = values.filter(({ channels }) => channels !== null)
  if (drawn.length === 0) return null
  return {
    rows: most(drawn, mostRows, ({ channels }) => channels?.peak.largest ?? 0).map(({ value, channels }) => ({
      value,
      ...(channels as NonNullable<typeof channels>),
    })),
    leftOut: Math.max(0, drawn.length - mostRows),
  }
}

/** At most so many, those with the largest measure, in the order they were in. */
function most<T>(all: readonly T[], count: number, measure: (item: T) => number): readonly T[] {
  if (all.length <= count) return all
  const largest = new Set(all.toSorted((a, b) => measure(b) - measure(a)).slice(0, count))
  return all.filter((item) => largest.has(item))
}

function roundingOf({ recipe, samples, products }: SensitivityDocument): ModelReport['rounding'] {
  return { recipe, samples, products }
}

function costsOf({ runs, quantizations, inspections, calibrations, comparisons: [comparison] }: Sources): CostsPart {
  const [run] = runs.filter(({ files }) => files.length > 0)
  const quantization = run?.quantization ?? quantizations[0]?.quantization
  const made = run ?? quantizations[0]
  const before = made?.model ?? runs[0]?.model ?? inspections[0]?.model ?? comparison?.model ?? calibrations[0]?.model
  const others = [...inspections.slice(1), ...(comparison ? [{ model: comparison.other }] : [])]
  const after = made ? made.files : others.slice(0, 1).map(({ model }) => model)
  const [first, second] = inspections
  const counted = [...runs, ...quantizations, ...(comparison ? [comparison] : [])]
    .map(({ operators }) => operators)
    .find((entry) => entry)
  return {
    files: [
      ...(before?.path ? [{ what: 'before' as const, ...entryOf({ ...before, path: before.path }) }] : []),
      ...after.map((file) => ({ what: 'after' as const, ...entryOf({ ...file, path: file.path ?? '' }) })),
    ],
    sizeRatio: quantization?.sizeRatio ?? null,
    operators: counted ?? (first ? { before: first.operators, after: second?.operators ?? null } : null),
    latencyRatio: comparison?.latency?.ratio ?? quantization?.latencyRatio ?? null,
    milliseconds: comparison?.latency
      ? { before: comparison.latency.firstMs, after: comparison.latency.secondMs }
      : null,
  }
}

function entryOf({ path, bytes, sha256 }: { path: string; bytes: number; sha256: string | null }) {
  return { path, bytes, sha256 }
}

function dataOf({ runs, calibrations, quantizations, comparisons: [comparison] }: Sources): DataPart | null {
  const measured = runs.map(({ change }) => change?.measured).find((entry) => entry)
  const seen = runs.map(({ calibration }) => calibration).find((entry) => entry)
  const [calibration] = calibrations
  const [quantization] = quantizations
  const of =
    seen ??
    (calibration ? { ...calibration.data, complete: calibration.complete } : undefined) ??
    (quantization ? { ...quantization.calibration, complete: true } : undefined) ??
    (comparison ? { samples: comparison.samples, synthetic: comparison.data.synthetic, complete: true } : undefined)
  if (!of) return null
  const { samples, synthetic, complete } = of
  const both = comparison ?? measured
  return { samples, synthetic, complete, measured: both ? { samples: both.samples } : null }
}
