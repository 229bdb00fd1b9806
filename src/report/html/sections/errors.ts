import { axisX, axisY, dot } from '@observablehq/plot'
import type { LayerError } from '../../model-report.ts'
import { labelsOf } from '../labels.ts'
import type { Markup } from '../markup.ts'
import { html } from '../markup.ts'
import { figure } from '../numbers.ts'
import { drawing, tick } from '../plot.ts'
import type { Section } from '../section.ts'
import { table } from '../table.ts'

export const errors: Section = {
  id: 'errors',
  title: 'How near the outputs are, and where the distance comes from',
  missing: (model) => `outeffhop-convert ${model} --data DATA --report report.html`,
  body({ errors }) {
    if (errors === null) return undefined
    const { outputs, layers, ok, broken } = errors
    return html`${ok !== null && html`<p>${ok ? 'Every tolerance is kept.' : 'A tolerance is broken:'}</p>`}${
      broken.length > 0 && html`<ul>${broken.map((message) => html`<li>${message}</li>`)}</ul>`
    }
${table({
  id: 'outputs',
  caption: 'Outputs of both models on the same samples',
  rows: outputs,
  columns: [
    { title: 'Output', of: ({ name }) => name },
    { title: '1 − mean cosine', of: ({ cosine }) => distance(cosine) },
    { title: 'SQNR (dB)', of: ({ sqnrDb }) => sqnrDb },
    { title: 'Largest distance', of: ({ maxAbs }) => maxAbs },
    { title: 'Mean distance', of: ({ meanAbs }) => meanAbs },
  ],
})}
${layers && layers.length > 0 && layerErrors(layers)}`
  },
}

/** How far a cosine is from that of equal vectors; rounding may leave it a little above. */
function distance(cosine: number | null): number | null {
  return cosine === null ? null : Math.max(0, 1 - cosine)
}

/** Layers that are drawn; the table has all. */
const mostDrawn = 80

function layerErrors(layers: readonly LayerError[]): Markup {
  const drawn = layers.slice(0, mostDrawn).map((layer, row) => ({ ...layer, row }))
  const known = drawn.filter((layer): layer is typeof layer & { sqnrDb: number } => layer.sqnrDb !== null)
  const introduced = drawn.filter(
    (layer): layer is typeof layer & { introducedDb: number } => layer.introducedDb !== null,
  )
  const labels = labelsOf(drawn.map(({ node, value }) => node ?? value))
  const worst = layers[0] as LayerError
  return html`<p>Signal over noise by layer, in decibels, the guiltiest first: the further left, the worse.${
    layers.length > drawn.length && ` The first ${drawn.length} of ${layers.length} are drawn.`
  }</p>
<ul class="key"><li><svg width="12" height="12" aria-hidden="true"><circle cx="6" cy="6" r="4" fill="none"
stroke="var(--before)" stroke-width="2"/></svg>all there is at this place</li>${
    introduced.length > 0 &&
    html`<li><svg width="12" height="12" aria-hidden="true"><circle cx="6" cy="6" r="4"
fill="var(--after)"/></svg>what the operator itself adds</li>`
  }</ul>
${drawing({
  id: 'layers',
  label: `Signal over noise of ${known.length} layers; the first in the list is ${worst.node ?? worst.value}.`,
  caption: 'SQNR in dB by layer; where there is no mark, nothing differs',
  options: {
    ...{ width: 690, height: 40 + 15 * drawn.length, marginLeft: 206, marginTop: 28, marginBottom: 8 },
    x: { label: null, nice: true },
    y: { type: 'point', domain: drawn.map(({ row }) => row), padding: 0.6, label: null },
    marks: [
      axisX({ anchor: 'top', tickFormat: tick, ticks: 5, label: null }),
      axisY({ tickSize: 0, tickFormat: (row: number) => labels[row], label: null }),
      dot(known, { x: 'sqnrDb', y: 'row', r: 3.5, stroke: 'var(--before)', strokeWidth: 1.8, title: titleOf }),
      dot(introduced, { x: 'introducedDb', y: 'row', r: 3.5, fill: 'var(--after)', title: titleOf }),
    ],
  },
})}
<details><summary>The numbers</summary>${table({
    id: 'layer-errors',
    caption: 'Every layer that both models have',
    rows: layers,
    columns: [
      { title: 'Value', of: ({ value }) => value, show: ({ value }) => html`<code>${value}</code>` },
      { title: 'Node', of: ({ node }) => node ?? '', show: ({ node }) => html`<code>${node ?? '–'}</code>` },
      { title: '1 − cosine', of: ({ cosine }) => distance(cosine) },
      { title: 'SQNR (dB)', of: ({ sqnrDb }) => sqnrDb },
      { title: 'Introduced (dB)', of: ({ introducedDb }) => introducedDb },
    ],
  })}</details>`
}

function titleOf({ value, node, sqnrDb }: LayerError): string {
  return `${node ?? value}\n${figure(sqnrDb)} dB`
}
