import type { Heads } from '../attention/index.ts'
import type { DataManifest, SkippedSample } from '../data/index.ts'
import { calibrationMalformed, calibrationVersion } from '../errors.ts'
import type { Channels } from './observers/channels.ts'
import type { Histogram } from './observers/histogram.ts'
import type { Granularity, Moments } from './observers/moments.ts'
import type { SiteState, ValueState } from './table.ts'
import { CalibrationTable } from './table.ts'

/** Raised when a field changes its meaning or goes away. */
const version = 1
const format = 'outeffhop-calibration'

interface TableJson {
  readonly format: typeof format
  readonly version: typeof version
  readonly fingerprint: string
  readonly data: DataManifest
  readonly settings: { readonly all: boolean; readonly histograms: boolean; readonly moments: Granularity | null }
  readonly complete: boolean
  readonly samples: readonly number[]
  readonly skipped: readonly SkippedSample[]
  readonly values: Readonly<Record<string, ValueJson>>
  readonly sites: readonly SiteJson[]
}

interface ValueJson {
  /** Extremes by sample, in the order of `samples` less those in which the value was not finite. */
  readonly ranges: {
    readonly samples?: readonly number[]
    readonly min: readonly number[]
    readonly max: readonly number[]
  }
  readonly notFinite: number
  readonly channels: ChannelsJson | null
  readonly histogram: HistogramJson | null
  readonly moments: Moments | null
}

interface ChannelsJson {
  readonly axis: number
  readonly rows: number
  readonly min: readonly number[]
  readonly max: readonly number[]
  readonly sum: readonly number[]
}

/** Bin `first + i` holds `counts[i]` elements in [first + i, first + i + 1) times 2^exponent. */
interface HistogramJson {
  readonly exponent: number
  readonly first: number
  readonly counts: readonly number[]
}

interface SiteJson {
  /** Left out for the main graph. */
  readonly graph?: string
  readonly node: string
  readonly output: string
  /** Left out outside of functions. */
  readonly call?: string
  readonly unobserved?: string
  readonly heads: Heads | null
  /** A histogram of ln Σ exp(score) for each head. */
  readonly logsumexp: readonly { readonly rows: HistogramJson; readonly masked: number }[]
}

/** A table as JSON, numbers to the bit. */
export function tableToJson(table: CalibrationTable): string {
  const { fingerprint, data, watching, isComplete, samples, skipped, values, sites } = table
  const json: TableJson = {
    ...{ format, version, fingerprint, data },
    settings: { all: watching.all, histograms: watching.histograms, moments: watching.moments ?? null },
    ...{ complete: isComplete, samples, skipped },
    values: Object.fromEntries(Array.from(values, ([name, state]) => [name, valueJson(state, samples)])),
    sites: sites.map(siteJson),
  }
  return `${JSON.stringify(json)}\n`
}

/** The table some text is. Throws `calibration-malformed` and `calibration-version`; `path` is for them. */
export function tableFromJson(text: string, path: string): CalibrationTable {
  const json = parse(text, path)
  if (json.format !== format) throw calibrationMalformed(path, 'it is other JSON')
  if (json.version !== version) throw calibrationVersion(path, json.version, version)
  try {
    const { fingerprint, data, settings, samples, skipped, values, sites } = json
    const { all, histograms, moments } = settings
    const watching = { all, histograms, moments: moments ?? undefined }
    const states = Object.entries(values).map(([name, value]) => [name, valueState(value, samples)] as const)
    const sight = { samples, skipped, values: new Map(states), sites: sites.map(siteState) }
    return new CalibrationTable({ fingerprint, data, watching }, sight)
  } catch (error) {
    if (error instanceof TypeError) throw calibrationMalformed(path, 'fields are missing')
    throw error
  }
}

function parse(text: string, path: string): TableJson {
  try {
    const json = JSON.parse(text)
    if (typeof json === 'object' && json !== null) return json
  } catch {}
  throw calibrationMalformed(path, text.trim() === '' ? 'it is empty' : 'it is broken off or no JSON')
}

function valueJson(
  { ranges, notFinite, channels, histogram, moments }: ValueState,
  samples: readonly number[],
): ValueJson {
  const { min, max } = ranges
  return {
    ranges: min.length === samples.length ? { min, max } : { samples: ranges.samples, min, max },
    notFinite,
    channels: channels === undefined ? null : channelsJson(channels),
    histogram: histogram === undefined ? null : histogramJson(histogram),
    moments: moments ?? null,
  }
}

function valueState(
  { ranges, notFinite, channels, histogram, moments }: ValueJson,
  samples: readonly number[],
): ValueState {
  return {
    ranges: { samples: ranges.samples ?? samples, min: ranges.min, max: ranges.max },
    notFinite,
    channels: channels === null ? undefined : channelsFrom(channels),
    histogram: histogram === null ? undefined : histogramFrom(histogram),
    moments: moments ?? undefined,
  }
}

function channelsJson({ axis, rows, min, max, sum }: Channels): ChannelsJson {
  return { axis, rows, min: numbers(min), max: numbers(max), sum: numbers(sum) }
}

/** A zero has no sign in JSON, and should have none before. */
function numbers(values: ArrayLike<number>): number[] {
  return Array.from(values, (x) => x + 0)
}

function channelsFrom({ axis, rows, min, max, sum }: ChannelsJson): Channels {
  return { axis, rows, min: Float64Array.from(min), max: Float64Array.from(max), sum: Float64Array.from(sum) }
}

function histogramJson({ exponent, first, counts }: Histogram): HistogramJson {
  return { exponent, first, counts: Array.from(counts) }
}

function histogramFrom({ exponent, first, counts }: HistogramJson): Histogram {
  return { exponent, first, counts: Float64Array.from(counts) }
}

function siteJson({ graph, node, output, call, heads, logsumexp, unobserved }: SiteState): SiteJson {
  return {
    ...(graph !== '' && { graph }),
    ...{ node, output },
    ...(call !== '' && { call }),
    heads: heads ?? null,
    logsumexp: logsumexp.map(({ rows, masked }) => ({ rows: histogramJson(rows), masked })),
    ...(unobserved !== undefined && { unobserved }),
  }
}

function siteState({ graph = '', node, output, call = '', heads, logsumexp, unobserved }: SiteJson): SiteState {
  return {
    ...{ graph, node, output, call, heads: heads ?? undefined, unobserved },
    logsumexp: logsumexp.map(({ rows, masked }) => ({ rows: histogramFrom(rows), masked })),
  }
}
