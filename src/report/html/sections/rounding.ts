import { axisX, axisY, dot } from '@observablehq/plot'
import type { RoundingPart } from '../../model-report.ts'
import { labelsOf } from '../labels.ts'
import type { Markup } from '../markup.ts'
import { html } from '../markup.ts'
import { figure, percent } from '../numbers.ts'
import { drawing, scaleFor, tick } from '../plot.ts'
import type { Section } from '../section.ts'
import { table } from '../table.ts'

type Product = RoundingPart['products'][number]

export const rounding: Section = {
  id: 'rounding',
  title: 'What quantizing each product costs',
  missing: (model) => `outeffhop-convert sensitivity ${model} --data DATA --json > sensitivity.json`,
  body({ rounding }) {
    if (rounding === null) return undefined
    const { products, recipe, samples } = rounding
    const total = products.reduce((sum, { noise }) => sum + (noise ?? 0), 0)
    return html`<p>Each product quantized alone (${recipe}), judged by the outputs on ${samples} samples; the noise of products
nearly adds up.</p>
${plotOf(products)}
<details><summary>The numbers</summary>${table({
      id: 'products-noise',
      caption: 'What every product alone does to the outputs',
      rows: products,
      columns: [
        { title: 'Node', of: ({ node }) => node, show: ({ node }) => html`<code>${node}</code>` },
        { title: 'Operator', of: ({ op }) => op },
        { title: 'Noise over signal', of: ({ noise }) => noise },
        {
          title: 'Share of all',
          of: ({ noise }) => (noise === null || total === 0 ? null : noise / total),
          show: ({ noise }) => percent(noise === null || total === 0 ? null : noise / total),
        },
        { title: 'SQNR (dB)', of: ({ sqnrDb }) => sqnrDb },
      ],
    })}</details>`
  },
}

/** Products that are drawn; the table has all. */
const mostDrawn = 80

function plotOf(products: readonly Product[]): Markup {
  const drawn = products.slice(0, mostDrawn).map((product, row) => ({ ...product, row }))
  const labels = labelsOf(drawn.map(({ node }) => node))
  const known = drawn.filter((product): product is typeof product & { noise: number } => product.noise !== null)
  if (known.length === 0) return html``
  return drawing({
    id: 'rounding',
    label: `Noise of ${known.length} products; the worst is ${products[0]?.node}.`,
    caption: `Noise over signal at the outputs, the worst first${
      products.length > drawn.length ? `; the first ${drawn.length} of ${products.length}` : ''
    }`,
    options: {
      ...{ width: 690, height: 40 + 15 * drawn.length, marginLeft: 206, marginTop: 28, marginBottom: 8 },
      x: { type: scaleFor(known.map(({ noise }) => noise)), label: null },
      y: { type: 'point', domain: drawn.map(({ row }) => row), padding: 0.6, label: null },
      marks: [
        axisX({ anchor: 'top', tickFormat: tick, ticks: 5, label: null }),
        axisY({ tickSize: 0, tickFormat: (row: number) => labels[row], label: null }),
        dot(known, { x: 'noise', y: 'row', r: 3.5, fill: 'var(--after)', title: titleOf }),
      ],
    },
  })
}

function titleOf({ node, noise }: Product): string {
  return `${node}\n${figure(noise)}`
}
