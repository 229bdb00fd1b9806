import { axisX, axisY, rectY, ruleX } from '@observablehq/plot'
import type { HistogramsPart } from '../../model-report.ts'
import type { Markup } from '../markup.ts'
import { html } from '../markup.ts'
import { figure } from '../numbers.ts'
import { smallDrawing, tick } from '../plot.ts'
import type { Section } from '../section.ts'
import { table } from '../table.ts'

type Value = HistogramsPart['values'][number]

export const histograms: Section = {
  id: 'histograms',
  title: 'Activations, and where a range would clip them',
  missing: (model) => `outeffhop-convert calibrate ${model} --data DATA --report report.html`,
  body({ histograms }) {
    if (histograms === null) return undefined
    const { values, leftOut } = histograms
    const methods = [...new Set(values.flatMap(({ clips }) => clips.map(({ method }) => method)))]
    return html`<p>How many elements have which size; the scale of the counts is logarithmic, since outliers are few. A line is
where the range of a method ends, what is beyond it is clipped.${
      leftOut > 0 && ` Shown are those with the most beyond their lines; ${leftOut} more are left out.`
    }</p>
<ul class="key">${methods.map(
      (method, i) => html`<li><svg width="24" height="12" aria-hidden="true"><line x1="0" x2="24" y1="6" y2="6"
stroke="var(--clip-${i})" stroke-width="2" stroke-dasharray="${dashes[i] ?? ''}"/></svg>${method}</li>`,
    )}</ul>
<div class="grid">${values.map((value, i) => plotOf(value, i, methods))}</div>
<details><summary>The numbers</summary>${table({
      id: 'ranges',
      caption: 'Extremes of every drawn value, and the range of each method',
      rows: values,
      columns: [
        { title: 'Value', of: ({ value }) => value, show: ({ value }) => html`<code>${value}</code>` },
        { title: 'Least', of: ({ min }) => min },
        { title: 'Greatest', of: ({ max }) => max },
        ...methods.flatMap((method) => [
          { title: `${method} from`, of: (value: Value) => clipOf(value, method)?.min ?? null },
          { title: 'to', of: (value: Value) => clipOf(value, method)?.max ?? null },
        ]),
      ],
    })}</details>`
  },
}

const dashes = ['', '5 3', '2 2']

function clipOf({ clips }: Value, method: string) {
  return clips.find((clip) => clip.method === method)
}

/** The bottom of the logarithmic scale: below one element. */
const bottom = 0.5

function plotOf(value: Value, index: number, methods: readonly string[]): Markup {
  const { low, width, counts, min, max, clips } = value
  const bins = counts.flatMap((count, i) =>
    count === 0 ? [] : [{ x1: low + i * width, x2: low + (i + 1) * width, count }],
  )
  const top = Math.max(...counts)
  const powers = Array.from({ length: Math.floor(Math.log10(top)) + 1 }, (_, power) => 10 ** power)
  const every = Math.ceil(powers.length / 4)
  return smallDrawing({
    id: `histogram-${index}`,
    label: `Histogram of ${value.value}: from ${figure(min)} to ${figure(max)}${clips
      .map((clip) => `; ${clip.method} keeps ${figure(clip.min)} to ${figure(clip.max)}`)
      .join('')}.`,
    caption: html`<code>${value.value}</code>`,
    options: {
      ...{ width: 320, height: 130, marginLeft: 40, marginRight: 12, marginTop: 8, marginBottom: 24 },
      x: { domain: [low, low + counts.length * width], label: null },
      y: { type: 'log', domain: [bottom, top], label: null },
      marks: [
        axisX({ ticks: 4, tickFormat: tick, label: null }),
        axisY({ ticks: powers.filter((_, i) => i % every === 0), tickFormat: tick, label: null }),
        rectY(bins, { x1: 'x1', x2: 'x2', y1: bottom, y2: 'count', fill: 'var(--before)', inset: 0 }),
        ...clips.map((clip) => {
          const at = methods.indexOf(clip.method)
          const dash = dashes[at]
          return ruleX([clip.min, clip.max], {
            ...{ stroke: `var(--clip-${at})`, strokeWidth: 1.5 },
            ...(dash && { strokeDasharray: dash }),
          })
        }),
      ],
    },
  })
}
