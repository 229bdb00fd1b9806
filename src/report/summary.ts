import { calibrationLines } from './calibration-text.ts'
import { changeLines } from './change-text.ts'
import type { ReportDocument, SiteEntry } from './document.ts'
import { isAllSoftmax1 } from './document.ts'
import type { SiteGroup } from './groups.ts'
import { groupSites } from './groups.ts'
import type { Paint } from './paint.ts'
import { quantizationLines } from './quantization-text.ts'
import type { Cell } from './table.ts'
import { alignRows, count, formatBytes } from './table.ts'
import { buildLines } from './target-check-text.ts'

/** Groups printed before the rest is summed up, so that the end of the report stays on the screen. */
const mostRows = 24

/** A report as people read it: what is in the model, what became of it, what was written, what to do next. */
export function summarize(document: ReportDocument, paint: Paint, dryRun = false): string {
  const groups = groupSites(document.sites)
  const lines = [heading(document, paint), '', ...siteTable(groups, judgesOnly(document), paint)]
  if (groups.length > 0) lines.push('')
  if (document.calibration && document.command === 'explain')
    lines.push(...calibrationLines(document.calibration, paint), '')
  lines.push(...closing(document, dryRun, paint))
  return `${lines.join('\n')}\n`
}

/** Whether nothing was to be converted: by `explain`, or because the run was to stop before that. */
function judgesOnly({ command, passes }: ReportDocument): boolean {
  return command === 'explain' || !passes.some(({ stage }) => stage === 'hopfield')
}

function heading({ model }: ReportDocument, paint: Paint): string {
  const opset = model.opsets[''] ?? 1
  return `${paint.strong(model.path ?? 'model')}  ${paint.faint(`${formatBytes(model.bytes)}, opset ${opset}`)}`
}

function siteTable(groups: readonly SiteGroup[], judged: boolean, paint: Paint): string[] {
  const shown = groups.slice(0, mostRows)
  const rows = alignRows(
    shown.map(({ sites, name, first }) => [
      fate(first, judged, paint),
      { text: sites.length > 1 ? `${name}  (${sites.length})` : name },
      why(first, paint),
    ]),
  )
  // What a conversion has to say of a site comes as warnings.
  const notes = (group: SiteGroup | undefined) => (judged ? (group?.first.notes ?? []) : [])
  const lines = rows.flatMap((row, i) => [row, ...notes(shown[i]).map((note) => paint.faint(`      ${note}`))])
  const hidden = groups.slice(mostRows).flatMap((group) => group.sites)
  if (hidden.length > 0) lines.push(paint.faint(`  and ${count(hidden.length, 'more site')}: --json lists all`))
  return lines
}

function fate(site: SiteEntry, judged: boolean, paint: Paint): Cell {
  if (site.converted) return { text: 'converted', paint: paint.good }
  if (site.verdict === 'already-softmax1') return { text: 'softmax1', paint: paint.good }
  if (site.verdict === 'review') return { text: 'review', paint: paint.warn }
  if (site.verdict === 'rejected' || site.verdict === 'learned-sink') return { text: 'left alone', paint: paint.faint }
  if (judged) return { text: site.verdict }
  return { text: 'not converted', paint: paint.warn }
}

function why(site: SiteEntry, paint: Paint): Cell {
  if (site.converted) {
    const reason = site.formReason === null ? '' : ` ${paint.faint(`(${site.formReason})`)}`
    return { text: `${site.form ?? ''}${reason}`.trimStart() }
  }
  // The message begins with the name, which stands in the column before.
  const message = site.message.startsWith(`"${site.node}" `) ? site.message.slice(site.node.length + 3) : site.message
  return { text: message, paint: paint.faint }
}

function closing(document: ReportDocument, dryRun: boolean, paint: Paint): string[] {
  const lines = [paint.strong(countsLine(document))]
  const { counts, command, files } = document
  const [written] = files
  if (document.quantization) lines.push(...quantizationLines(document.quantization, paint, dryRun))
  if (command === 'convert' && judgesOnly(document)) lines.push('The run was to stop before anything is converted.')
  if (written !== undefined) lines.push(writtenLine(document, written, paint))
  else if (dryRun) lines.push('Nothing was written: this is a dry run.')
  else if (command === 'convert' && isAllSoftmax1(document))
    lines.push('It is a Softmax1 model already. Nothing was written.')
  if (document.build) lines.push(...buildLines(document.build, paint))
  lines.push(...hashLines(document, paint))
  if (counts.converted > 0) lines.push('', ...advice(document))
  return lines
}

/** Hashes that were asked for, as `sha256sum` prints and checks them. */
function hashLines({ model, files }: ReportDocument, paint: Paint): string[] {
  return [model, ...files]
    .filter((file) => file.sha256 !== null)
    .map(({ sha256, path }) => paint.faint(`${sha256}  ${path}`))
}

function countsLine(document: ReportDocument): string {
  const { counts } = document
  if (counts.sites === 0) return 'The model has no softmax and no attention operator.'
  const words = (n: number, what: string) => (n > 0 ? [`${n} ${what}`] : [])
  if (judgesOnly(document)) {
    const parts = [
      ...words(counts.attention, 'attention'),
      ...words(counts.already, 'Softmax1 already'),
      ...words(counts.left - counts.attention, 'left alone'),
    ]
    return `${count(counts.sites, 'site')}: ${[...parts, ...words(counts.review, 'to review')].join(', ')}.`
  }
  const parts = [`${counts.converted} converted to Softmax1`, ...words(counts.already, 'Softmax1 already')]
  return `${[...parts, ...words(counts.left, 'left as found'), ...words(counts.review, 'to review')].join(', ')}.`
}

function writtenLine(document: ReportDocument, written: ReportDocument['files'][number], paint: Paint): string {
  const total = document.files.reduce((sum, file) => sum + file.bytes, 0)
  const more = document.files.length > 1 ? ` and ${count(document.files.length - 1, 'data file')}` : ''
  const { verification } = document
  const tested =
    verification === null ? '' : verification.ran ? ' It loads and runs.' : verification.loaded ? ' It loads.' : ''
  return `Wrote ${paint.strong(written.path)}${more} (${formatBytes(total)}${sizeRatio(document)})${needs(document)}.${tested}`
}

function sizeRatio({ quantization }: ReportDocument): string {
  return quantization?.sizeRatio ? `, ${quantization.sizeRatio.toFixed(3)} of the input` : ''
}

function needs({ target, requires }: ReportDocument): string {
  if (target.name !== 'ort' || requires.runtime === null) return ''
  return ` for ONNX Runtime ${requires.runtime} and later${requires.provider === null ? '' : `, provider ${requires.provider} only`}`
}

function advice(document: ReportDocument): string[] {
  const { sink } = document
  if (sink !== 'zero, not verified') return [`sink: ${sink}`, ...changeLines(document)]
  return [
    'sink: zero, not verified. A model trained with Softmax1 keeps its outputs. One trained with plain softmax changes:',
    'give some of your data with --data, and every head gets a sink that keeps its outputs.',
    'Fine-tuning with Softmax1 is what makes the outliers go away.',
  ]
}
