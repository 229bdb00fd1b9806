import type { SiteEntry } from './document.ts'
import type { ModelReport } from './model-report.ts'

/**
 * Numbers of nodes as Model Explorer lays them over a graph: its custom node data, of whatever graph is shown. A key is the
 * name of a node, which is its id there; of a value whose node is not known, the name of the value.
 */
export interface Overlay {
  readonly name: string
  readonly results: Readonly<Record<string, { readonly value: number | string; readonly bgColor?: string }>>
  /** Colours from the least value (0) to the greatest (1). */
  readonly gradient?: readonly { readonly stop: number; readonly bgColor: string; readonly textColor: string }[]
}

/** The overlays of a report, by the names of their files without extension; only those that have nodes. */
export function overlays({ verdicts, attention, outliers, errors, rounding }: ModelReport): Map<string, Overlay> {
  const sites = verdicts?.sites.map((site) => [site.node, site] as const) ?? []
  const masses = attention?.sites.map(({ node, heads }) => [node, least(heads.map(({ mass }) => mass))] as const) ?? []
  const layers =
    outliers?.layers.map(({ value, node, before, after }) => [node ?? value, after ?? before] as const) ?? []
  const distances = errors?.layers?.map(({ value, node, sqnrDb }) => [node ?? value, sqnrDb] as const) ?? []
  const noise = rounding?.products.map(({ node, noise }) => [node, noise] as const) ?? []
  const all = new Map<string, Overlay>([
    ['verdict', { name: 'verdict', results: Object.fromEntries(sites.map(([node, site]) => [node, verdictOf(site)])) }],
    ['attention-mass', numeric('least attention mass', masses, darkIsLow)],
    [
      'kurtosis',
      numeric(
        'kurtosis',
        layers.map(([key, { kurtosis }]) => [key, kurtosis]),
        darkIsHigh,
      ),
    ],
    [
      'infinity-norm',
      numeric(
        'infinity norm',
        layers.map(([key, { infinityNorm }]) => [key, infinityNorm]),
        darkIsHigh,
      ),
    ],
    ['sqnr', numeric('SQNR (dB)', distances, darkIsLow)],
    ['rounding', numeric('noise over signal', noise, darkIsHigh)],
  ])
  return new Map([...all].filter(([, { results }]) => Object.keys(results).length > 0))
}

const light = { bgColor: '#eef3fa', textColor: '#1a1d21' }
const dark = { bgColor: '#08305c', textColor: '#ffffff' }
const darkIsHigh = [
  { stop: 0, ...light },
  { stop: 1, ...dark },
]
const darkIsLow = [
  { stop: 0, ...dark },
  { stop: 1, ...light },
]

function numeric(
  name: string,
  values: readonly (readonly [string, number | null])[],
  gradient: NonNullable<Overlay['gradient']>,
): Overlay {
  const known = values.flatMap(([key, value]) => (value === null ? [] : [[key, { value }] as const]))
  return { name, results: Object.fromEntries(known), gradient }
}

function verdictOf({ converted, verdict, form }: SiteEntry): Overlay['results'][string] {
  if (converted) return { value: `converted: ${form}`, bgColor: '#cfe8d6' }
  return { value: verdict, bgColor: verdict === 'review' ? '#f5e3b5' : '#e3e6ea' }
}

function least(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null)
  return known.length === 0 ? null : Math.min(...known)
}
