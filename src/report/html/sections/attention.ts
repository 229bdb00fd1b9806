import { axisX, axisY, cell, dot, text } from '@observablehq/plot'
import type { AttentionHead, AttentionPart, AttentionSite } from '../../model-report.ts'
import { labelsOf } from '../labels.ts'
import type { Markup } from '../markup.ts'
import { html } from '../markup.ts'
import { figure, percent } from '../numbers.ts'
import { drawing, heat, ink, scaleFor, tick } from '../plot.ts'
import type { Section } from '../section.ts'
import { table } from '../table.ts'

export const attention: Section = {
  id: 'attention',
  title: 'What Softmax1 changes, head by head',
  missing: (model) => `outeffhop-convert calibrate ${model} --data DATA --report report.html`,
  body({ attention }) {
    if (attention === null) return undefined
    const heads = headsOf(attention)
    if (heads.length === 0) return html`<p>Attention was observed, but no row of it that is not hidden.</p>`
    return html`<p>A row of softmax sums to 1. With a sink in the denominator it sums to its mass, <code>sigmoid(L −
sink)</code> with <code>L = ln Σ exp(score)</code>: below 1, the rest goes nowhere. What a model trained with plain softmax
loses is predicted to be <code>sigmoid(sink − L)</code>, the mean over the rows that calibration saw.</p>
${massMap(attention, heads)}
${changePlot(attention, heads)}
<details><summary>The numbers</summary>${numbers(heads)}</details>`
  },
}

interface Head extends AttentionHead {
  readonly node: string
  /** The row of the site, and the column of the head. */
  readonly site: number
  readonly head: number
  readonly name: string
}

function headsOf({ sites }: AttentionPart): Head[] {
  return sites.flatMap(({ node, call, perHead, heads }, site) =>
    heads.map((own, head) => ({
      ...own,
      node: labelOf({ node, call }),
      site,
      head,
      name: perHead ? String(head) : 'all',
    })),
  )
}

/** A head at 1 keeps everything, one at a half loses as much as it keeps. */
const limits = [0.5, 0.8, 0.9, 0.95, 0.97, 0.99, 0.999]

/** The less a head keeps the darker it is. */
function stepOf(mass: number): number {
  return limits.filter((limit) => mass < limit).length
}

function massMap({ sites }: AttentionPart, heads: readonly Head[]): Markup {
  const known = heads.filter((head): head is Head & { mass: number } => head.mass !== null)
  const columns = sites.reduce((most, site) => Math.max(most, site.heads.length), 0)
  const least = known.toSorted((a, b) => a.mass - b.mass)[0]
  return drawing({
    id: 'mass',
    label: `Mean attention mass at sink 0 of ${known.length} heads${
      least ? `; the least is ${figure(least.mass)}, "${least.node}" head ${least.name}` : ''
    }.`,
    caption: 'Mean attention mass at sink 0 (what a row of Softmax1 sums to), by site (down) and head (across)',
    options: {
      ...{ width: 218 + Math.max(38 * columns, 60), height: 36 + 22 * sites.length },
      ...{ marginLeft: 206, marginRight: 8, marginTop: 24, marginBottom: 8 },
      x: { type: 'band', domain: Array.from({ length: columns }, (_, i) => i), padding: 0.04, label: null },
      y: { type: 'band', domain: sites.map((_, i) => i), padding: 0.08, label: null },
      color: { type: 'identity' },
      marks: [
        axisX({ anchor: 'top', tickSize: 0, tickFormat: tick, label: null }),
        siteAxis(sites),
        cell(known, { x: 'head', y: 'site', fill: ({ mass }: { mass: number }) => heat[stepOf(mass)], title: titleOf }),
        text(known, {
          ...{ x: 'head', y: 'site', text: ({ mass }: { mass: number }) => mass.toFixed(3) },
          ...{ fill: ({ mass }: { mass: number }) => ink[stepOf(mass)], fontSize: 10, pointerEvents: 'none' },
        }),
      ],
    },
  })
}

function changePlot({ sites }: AttentionPart, heads: readonly Head[]): Markup {
  const atZero = heads.filter((head): head is Head & { change: number } => head.change !== null)
  const given = heads.filter(
    (head): head is Head & { sinkChange: number } => head.sinkChange !== null && head.sink !== 0,
  )
  const all = [...atZero.map(({ change }) => change), ...given.map(({ sinkChange }) => sinkChange)]
  return html`<ul class="key"><li><svg width="12" height="12" aria-hidden="true"><circle cx="6" cy="6" r="4" fill="none"
stroke="var(--after)" stroke-width="2"/></svg>with sink 0</li>${
    given.length > 0 &&
    html`<li><svg width="12" height="12" aria-hidden="true"><circle cx="6" cy="6" r="4"
fill="var(--before)"/></svg>with the calibrated or given sink</li>`
  }</ul>
${drawing({
  id: 'change',
  label: `Predicted change of ${atZero.length} heads, from ${percent(Math.min(...all))} to ${percent(Math.max(...all))}.`,
  caption: 'Predicted change of the output of a head, a circle each: the mean of sigmoid(sink − L)',
  options: {
    ...{ width: 690, height: 40 + 18 * sites.length, marginLeft: 206, marginTop: 28, marginBottom: 8 },
    x: { type: scaleFor(all), label: null },
    y: { type: 'point', domain: sites.map((_, i) => i), padding: 0.6, label: null },
    marks: [
      axisX({ anchor: 'top', tickFormat: tick, ticks: 5, label: null }),
      siteAxis(sites),
      dot(atZero, { x: 'change', y: 'site', r: 3.5, stroke: 'var(--after)', strokeWidth: 1.5, title: titleOf }),
      dot(given, { x: 'sinkChange', y: 'site', r: 3, fill: 'var(--before)', fillOpacity: 0.75, title: titleOf }),
    ],
  },
})}`
}

/** A site of a function is one of each of its calls. */
function labelOf({ node, call }: Pick<AttentionSite, 'node' | 'call'>): string {
  return call === null ? node : `${node} in ${call}`
}

function siteAxis(sites: readonly AttentionSite[]) {
  const labels = labelsOf(sites.map(labelOf))
  return axisY({ tickSize: 0, tickFormat: (site: number) => labels[site], label: null })
}

function titleOf({ node, name, mass, sink, sinkMass }: Head): string {
  const given = sink === null ? '' : `, ${figure(sinkMass)} at sink ${figure(sink)}`
  return `${node}, head ${name}\nmass ${figure(mass)} at sink 0${given}`
}

function numbers(heads: readonly Head[]): Markup {
  return table({
    id: 'heads',
    caption: 'What every head keeps and loses',
    rows: heads,
    columns: [
      { title: 'Site', of: ({ node }) => node, show: ({ node }) => html`<code>${node}</code>` },
      { title: 'Head', of: ({ name }) => name },
      { title: 'Rows', of: ({ rows }) => rows },
      { title: 'Hidden rows', of: ({ masked }) => masked },
      { title: 'L, 0.1 %', of: ({ low }) => low },
      { title: 'L, median', of: ({ median }) => median },
      { title: 'Mass, sink 0', of: ({ mass }) => mass },
      { title: 'Change', of: ({ change }) => change, show: ({ change }) => percent(change) },
      { title: 'Rows losing over 10 %', of: ({ changed }) => changed, show: ({ changed }) => percent(changed) },
      { title: 'Sink', of: ({ sink }) => sink },
      { title: 'Mass with it', of: ({ sinkMass }) => sinkMass },
      { title: 'Change with it', of: ({ sinkChange }) => sinkChange, show: ({ sinkChange }) => percent(sinkChange) },
    ],
  })
}
