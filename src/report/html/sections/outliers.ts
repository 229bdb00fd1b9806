import { axisX, axisY, dot, link } from '@observablehq/plot'
import type { OutlierLayer, OutliersPart } from '../../model-report.ts'
import { labelsOf } from '../labels.ts'
import type { Markup } from '../markup.ts'
import { html } from '../markup.ts'
import { figure } from '../numbers.ts'
import { drawing, scaleFor, tick } from '../plot.ts'
import type { Section } from '../section.ts'
import { table } from '../table.ts'

type Metric = 'kurtosis' | 'infinityNorm'

export const outliers: Section = {
  id: 'outliers',
  title: 'Outliers of activations, layer by layer',
  missing: (model) => `outeffhop-convert calibrate ${model} --data DATA --moments --report report.html`,
  body({ outliers }) {
    if (outliers === null) return undefined
    const { layers } = outliers
    const both = layers.some(({ after }) => after !== null)
    return html`<p>Of every value that is multiplied with a weight, ${unit(outliers)}. Gaussian noise has a kurtosis of 3; a
value with few very large elements has a high one.${
      both && ' A new normaliser does not take outliers away; training with it does.'
    }</p>
${both && key}
${plotOf(layers, 'kurtosis', 'Kurtosis')}
${plotOf(layers, 'infinityNorm', 'Infinity norm')}
<details><summary>The numbers</summary>${table({
      id: 'outlier-layers',
      caption: 'Kurtosis and infinity norm of every value',
      rows: layers,
      columns: [
        { title: 'Value', of: ({ value }) => value, show: ({ value }) => html`<code>${value}</code>` },
        { title: 'Kurtosis before', of: ({ before }) => before.kurtosis },
        ...(both ? [{ title: 'after', of: ({ after }: OutlierLayer) => after?.kurtosis ?? null }] : []),
        { title: 'Infinity norm before', of: ({ before }) => before.infinityNorm },
        ...(both ? [{ title: 'after', of: ({ after }: OutlierLayer) => after?.infinityNorm ?? null }] : []),
        { title: 'Largest before', of: ({ before }) => before.largest },
      ],
    })}</details>`
  },
}

const key = html`<ul class="key"><li><svg width="12" height="12" aria-hidden="true"><circle cx="6" cy="6" r="4" fill="none"
stroke="var(--before)" stroke-width="2"/></svg>before</li><li><svg width="12" height="12" aria-hidden="true"><circle cx="6"
cy="6" r="4" fill="var(--after)"/></svg>after</li></ul>`

function unit({ granularity }: OutliersPart): string {
  if (granularity === 'token') return 'the mean over tokens'
  if (granularity === 'sequence') return 'the mean over samples'
  return 'over all elements of all samples'
}

function plotOf(layers: readonly OutlierLayer[], metric: Metric, name: string): Markup {
  const seen = layers.map(({ value, before, after }, row) => ({
    ...{ row, value, before: before[metric], after: after?.[metric] },
  }))
  const labels = labelsOf(layers.map(({ value }) => value))
  const pairs = seen.filter(({ after }) => after !== undefined)
  const all = seen.flatMap(({ before, after }) => (after === undefined ? [before] : [before, after]))
  const said = seen.toSorted((a, b) => b.before - a.before).slice(0, 1)
  return drawing({
    id: `outliers-${metric}`,
    label: `${name} of ${layers.length} values, from ${figure(Math.min(...all))} to ${figure(Math.max(...all))}${said
      .map(({ value }) => `; the largest before: ${value}`)
      .join('')}.`,
    caption: `${name} by value, in the order of the graph`,
    options: {
      ...{ width: 690, height: 56 + 15 * layers.length, marginLeft: 206, marginTop: 28, marginBottom: 8 },
      x: { type: scaleFor(all), label: null },
      y: { type: 'point', domain: seen.map(({ row }) => row), padding: 0.6, label: null },
      marks: [
        axisX({ anchor: 'top', tickFormat: tick, ticks: 5, label: null }),
        axisY({ tickSize: 0, tickFormat: (row: number) => labels[row], label: null }),
        link(seen, { x1: Math.min(...all), x2: 'before', y1: 'row', y2: 'row', stroke: 'var(--line)' }),
        link(pairs, { x1: 'before', x2: 'after', y1: 'row', y2: 'row', stroke: 'var(--after)' }),
        dot(seen, { x: 'before', y: 'row', r: 3.5, stroke: 'var(--before)', strokeWidth: 1.8, title: titleOf }),
        dot(pairs, { x: 'after', y: 'row', r: 3.5, fill: 'var(--after)', title: titleOf }),
      ],
    },
  })
}

function titleOf({ value, before, after }: { value: string; before: number; after: number | undefined }): string {
  return `${value}\n${figure(before)}${after === undefined ? '' : ` before, ${figure(after)} after`}`
}
