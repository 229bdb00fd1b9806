import type { CalibrationDocument, CalibrationEntry, HeadEntry, SiteCalibration } from './calibration.ts'
import type { Paint } from './paint.ts'
import type { Cell } from './table.ts'
import { alignRows, count, formatBytes } from './table.ts'

/** Below this mean factor a head counts as changed: its outputs are no longer those it was trained to give. */
const leastGate = 0.97
/** Sites printed before the rest is summed up. */
const mostSites = 24
/** Heads named by number at one site. */
const mostHeads = 8

/** A calibration as people read it. */
export function summarizeCalibration(document: CalibrationDocument, paint: Paint): string {
  const { data, values, sites, table, complete, notes, outliers } = document
  const kind = data.synthetic ? 'made-up samples' : 'samples'
  const sight = `Observed ${count(values, 'value')} and ${count(sites.length, 'attention site')} on ${data.samples} ${kind}.`
  const lines = [paint.strong(sight), ...notes.map((note) => paint.faint(`  ${note}`))]
  if (sites.length > 0) lines.push('', ...siteLines(sites, paint))
  if (outliers !== null) lines.push('', ...outlierLines(outliers, paint))
  lines.push('', `Wrote ${paint.strong(table.path)} (${formatBytes(table.bytes)}).`)
  if (!complete)
    lines.push('It is one part: outeffhop-convert calibrate merge PART… -o TABLE makes the parts one table.')
  return `${lines.join('\n')}\n`
}

/** What a table says of the attention of a model, as people read it. */
export function calibrationLines(
  { path, samples, synthetic, complete, sites }: CalibrationEntry,
  paint: Paint,
): string[] {
  const from = `${path ?? 'the table'}, ${count(samples, synthetic ? 'made-up sample' : 'sample')}${complete ? '' : ', not all of the data'}`
  const lines = [paint.strong('What Softmax1 changes here'), paint.faint(`  by ${from}`)]
  return sites.length === 0 ? [...lines, '  No attention was observed.'] : [...lines, ...siteLines(sites, paint)]
}

function siteLines(sites: readonly SiteCalibration[], paint: Paint): string[] {
  const titles = ['site', 'heads', 'L, 0.1 %', 'mean g at sink 0', 'rows losing over 10 %', 'calibrated sink']
  const shown = sites.slice(0, mostSites)
  const rows = alignRows([
    titles.map((text) => ({ text, paint: paint.faint })),
    ...shown.map((site) => cells(site, paint)),
  ])
  const lines = rows.flatMap((row, i) => [row, ...(i === 0 ? [] : remarks(shown[i - 1] as SiteCalibration, paint))])
  if (sites.length > shown.length) {
    lines.push(paint.faint(`  and ${count(sites.length - shown.length, 'more site')}: --json lists all`))
  }
  return lines
}

function remarks(site: SiteCalibration, paint: Paint): string[] {
  const call = site.call === null ? [] : [paint.faint(`      in the call ${site.call}`)]
  const why = site.unobserved === null ? [] : [paint.warn(`      not observed: it ${site.unobserved}`)]
  return [...call, ...why, ...changedHeads(site, paint)]
}

function cells({ node, perHead, heads }: SiteCalibration, paint: Paint): Cell[] {
  const span = (pick: (head: HeadEntry) => number | undefined, digits: number, unit = '') =>
    spanOf(
      heads.map(pick).filter((x) => x !== undefined),
      digits,
      unit,
    )
  const changed = heads.some(isChanged)
  return [
    { text: node },
    { text: perHead ? String(heads.length) : 'unknown' },
    { text: span((head) => head.logsumexp?.low, 2) },
    { text: span((head) => head.zeroSink?.gate, 4), ...(changed ? { paint: paint.warn } : {}) },
    { text: span((head) => (head.zeroSink === null ? undefined : 100 * head.zeroSink.changed), 1, ' %') },
    { text: span((head) => head.calibrated?.sink, 2) },
  ]
}

function spanOf(values: readonly number[], digits: number, unit: string): string {
  if (values.length === 0) return 'no rows'
  const [low, high] = [Math.min(...values), Math.max(...values)].map((x) => x.toFixed(digits))
  return low === high ? `${low}${unit}` : `${low} to ${high}${unit}`
}

function isChanged({ zeroSink }: HeadEntry): boolean {
  return zeroSink !== null && zeroSink.gate < leastGate
}

function changedHeads({ perHead, heads }: SiteCalibration, paint: Paint): string[] {
  const changed = [...heads.entries()].filter(([, head]) => isChanged(head))
  if (changed.length === 0 || !perHead) return []
  const worst = changed.sort(([, a], [, b]) => (a.zeroSink?.gate ?? 1) - (b.zeroSink?.gate ?? 1)).slice(0, mostHeads)
  const names = worst.map(([head, { zeroSink }]) => `${head} (${zeroSink?.gate.toFixed(3)})`)
  const more = changed.length > worst.length ? ` and ${changed.length - worst.length} more` : ''
  return [paint.faint(`      mean g below ${leastGate}: head ${names.join(', ')}${more}`)]
}

function outlierLines(outliers: NonNullable<CalibrationDocument['outliers']>, paint: Paint): string[] {
  const titles = ['value', 'kurtosis', 'mean of largest', 'largest'].map((text) => ({ text, paint: paint.faint }))
  const worst = Object.entries(outliers).sort(([, a], [, b]) => b.kurtosis - a.kurtosis)
  const rows = worst
    .slice(0, mostSites)
    .map(([name, { kurtosis, infinityNorm, largest }]): Cell[] => [
      { text: name },
      { text: kurtosis.toFixed(1) },
      { text: infinityNorm.toFixed(2) },
      { text: largest.toFixed(2) },
    ])
  const all = Object.values(outliers)
  const mean = all.reduce((sum, { kurtosis }) => sum + kurtosis, 0) / all.length
  const most = all.reduce((max, { infinityNorm }) => Math.max(max, infinityNorm), 0)
  const total = `  mean kurtosis ${mean.toFixed(1)}, largest infinity norm ${most.toFixed(2)}, over ${count(all.length, 'value')}`
  return [...alignRows([titles, ...rows]), total]
}
