import { axisX, axisY, cell } from '@observablehq/plot'
import type { ChannelsPart } from '../../model-report.ts'
import { heatKey, ratioLimits, stepOf } from '../heat.ts'
import { labelsOf } from '../labels.ts'
import type { Markup } from '../markup.ts'
import { html } from '../markup.ts'
import { figure } from '../numbers.ts'
import { drawing, heat } from '../plot.ts'
import type { Section } from '../section.ts'
import { table } from '../table.ts'

export const channels: Section = {
  id: 'channels',
  title: 'Channels: where the outliers live',
  missing: (model) => `outeffhop-convert calibrate ${model} --data DATA --report report.html`,
  body({ channels }) {
    if (channels === null) return undefined
    const { rows, leftOut } = channels
    return html`<p>The largest magnitude of every channel, by value. Neighbouring channels share a cell where there are more
than 64; it shows the largest of them. A column that stands out is a channel that is an
outlier in layer after layer.${
      leftOut > 0 && ` Shown are the values that reach furthest; ${leftOut} more are left out.`
    }</p>
${heatMap(rows)}
<details><summary>The numbers</summary>${table({
      id: 'peaks',
      caption: 'The channel of every value that reaches furthest',
      rows,
      columns: [
        { title: 'Value', of: ({ value }) => value, show: ({ value }) => html`<code>${value}</code>` },
        { title: 'Channels', of: ({ count }) => count },
        { title: 'Furthest channel', of: ({ peak }) => peak.channel },
        { title: 'Its maximum', of: ({ peak }) => peak.largest },
        { title: 'Median of maxima', of: ({ median }) => median },
        { title: 'Ratio', of: ({ peak, median }) => (median > 0 ? peak.largest / median : null) },
      ],
    })}</details>`
  },
}

function heatMap(rows: ChannelsPart['rows']): Markup {
  const cells = rows.flatMap(({ largest }, row) => largest.map((value, column) => ({ row, column, value })))
  const labels = labelsOf(rows.map(({ value }) => value))
  const limits = ratioLimits(cells.map(({ value }) => value))
  const columns = rows.reduce((most, { largest }) => Math.max(most, largest.length), 0)
  const shape = columns <= 32 ? columns * 12 : 512
  const peaks = rows.map(({ peak }) => peak.largest)
  return html`${heatKey(limits)}
${drawing({
  id: 'channels',
  label: `Heat map of the largest magnitudes of channels of ${rows.length} values, up to ${figure(Math.max(...peaks))}.`,
  caption: 'The largest magnitude by channel (across) and value (down, in the order of the graph)',
  options: {
    ...{ width: 206 + shape + 8, height: 32 + 13 * rows.length, marginLeft: 206, marginRight: 8 },
    ...{ marginTop: 24, marginBottom: 8 },
    x: { type: 'band', domain: Array.from({ length: columns }, (_, i) => i), padding: 0, label: null },
    y: { type: 'band', domain: rows.map((_, i) => i), padding: 0.08, label: null },
    color: { type: 'identity' },
    marks: [
      axisX({
        anchor: 'top',
        ticks: [0, columns - 1],
        tickFormat: (i: number) => (i === 0 ? 'first' : 'last'),
        tickSize: 0,
      }),
      axisY({ tickSize: 0, tickFormat: (row: number) => labels[row] }),
      cell(cells, {
        ...{ x: 'column', y: 'row', inset: 0 },
        fill: ({ value }: { value: number }) => heat[stepOf(value, limits)],
      }),
    ],
  },
})}`
}
