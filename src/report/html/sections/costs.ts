import type { CostsPart } from '../../model-report.ts'
import { formatBytes } from '../../table.ts'
import type { Markup } from '../markup.ts'
import { html } from '../markup.ts'
import { figure } from '../numbers.ts'
import type { Section } from '../section.ts'
import { table } from '../table.ts'

export const costs: Section = {
  id: 'costs',
  title: 'Size, time and operators',
  missing: (model) => `outeffhop-convert report ${model}`,
  body({ costs }) {
    const { files, operators } = costs
    if (files.length === 0 && operators === null) return undefined
    return html`${files.length > 0 && sizes(costs)}
${latency(costs)}
${operators && operatorTable(operators)}`
  },
}

function sizes({ files, sizeRatio }: CostsPart): Markup {
  return html`${table({
    id: 'files',
    caption: 'Files; that of the model before without weights in files of their own',
    rows: files,
    columns: [
      { title: 'File', of: ({ path }) => path, show: ({ path }) => html`<code>${path}</code>` },
      { title: 'Model', of: ({ what }) => what },
      { title: 'Size', of: ({ bytes }) => bytes, show: ({ bytes }) => formatBytes(bytes) },
      { title: 'SHA-256', of: ({ sha256 }) => sha256 ?? '', show: ({ sha256 }) => html`<code>${sha256 ?? '–'}</code>` },
    ],
  })}
${sizeRatio !== null && html`<p>The result takes ${figure(sizeRatio)} of the bytes of the model before.</p>`}`
}

function latency({ latencyRatio, milliseconds }: CostsPart): Markup {
  if (latencyRatio === null) return html`<p class="faint">Time was not measured.</p>`
  if (milliseconds === null)
    return html`<p>On one thread the model after takes ${figure(latencyRatio)} of the time of the model before.</p>`
  return table({
    id: 'latency',
    caption: 'Time of a run on one thread, both in turns',
    rows: [
      { model: 'before', time: milliseconds.before, ratio: 1 },
      { model: 'after', time: milliseconds.after, ratio: latencyRatio },
    ],
    columns: [
      { title: 'Model', of: ({ model }) => model },
      { title: 'Milliseconds', of: ({ time }) => time },
      { title: 'Ratio', of: ({ ratio }) => ratio },
    ],
  })
}

function operatorTable({ before, after }: NonNullable<CostsPart['operators']>): Markup {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after ?? {})])]
  const rows = names.map((op) => ({ op, before: before[op] ?? 0, after: after === null ? null : (after[op] ?? 0) }))
  type Row = (typeof rows)[number]
  const change = ({ before, after }: Row) => (after === null ? null : after - before)
  return table({
    id: 'operators',
    caption: 'Nodes by operator, in all graphs of the model',
    rows,
    columns: [
      { title: 'Operator', of: ({ op }) => op },
      { title: 'Before', of: ({ before }) => before },
      ...(after === null
        ? []
        : [
            { title: 'After', of: ({ after }: Row) => after },
            { title: 'Change', of: change },
          ]),
    ],
  })
}
