import type { ModelReport } from '../../model-report.ts'
import { formatBytes } from '../../table.ts'
import { html } from '../markup.ts'
import type { Section } from '../section.ts'

export const environment: Section = {
  id: 'environment',
  title: 'Where the numbers come from',
  missing: undefined,
  body(report) {
    const rows = [...modelRows(report), ...dataRows(report), ...environmentRows(report)]
    if (rows.length === 0 && report.warnings.length === 0) return undefined
    return html`${
      rows.length > 0 &&
      html`<div class="scroll" role="region" aria-labelledby="facts-caption" tabindex="0"><table data-plain>
<caption id="facts-caption">Model, data and programs</caption>
<tbody>${rows.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>\n`)}</tbody></table></div>`
    }
${
  report.warnings.length > 0 &&
  html`<h3>Warnings</h3><ul>${report.warnings.map(({ message }) => html`<li>${message}</li>`)}</ul>`
}`
  },
}

type Row = readonly [string, string]

function modelRows({ model, verification }: ModelReport): Row[] {
  if (model === null) return []
  const opsets = Object.entries(model.opsets).map(
    ([domain, version]) => `${domain === '' ? 'ai.onnx' : domain} ${version}`,
  )
  const rows: Row[] = [
    ['Model', model.path ?? 'in memory'],
    ['Size of the file', formatBytes(model.bytes)],
    ['IR version, opsets', `${model.irVersion}; ${opsets.join(', ')}`],
  ]
  if (model.sha256 !== null) rows.push(['SHA-256', model.sha256])
  if (verification !== null)
    rows.push(['Tried in ONNX Runtime', verification.ran ? 'loads and runs' : (verification.reason ?? 'loads')])
  return rows
}

function dataRows({ data }: ModelReport): Row[] {
  if (data === null) return []
  const kind = data.synthetic ? 'made up: good for a try, they say nothing of real data' : 'given'
  const rows: Row[] = [['Samples', `${data.samples}, ${kind}${data.complete ? '' : '; not all of the data'}`]]
  if (data.measured !== null) rows.push(['Samples both models ran on', String(data.measured.samples)])
  return rows
}

function environmentRows({ environment }: ModelReport): Row[] {
  if (environment === null) return []
  const { tool, runtime, node, platform } = environment
  return [
    ['outeffhop-convert', tool],
    ['ONNX Runtime', runtime ?? 'not installed'],
    ['Node', node],
    ['Platform', platform],
  ]
}
