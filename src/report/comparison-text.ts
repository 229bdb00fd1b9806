import type { ComparisonDocument, LayerEntry, OutputEntry } from './comparison.ts'
import type { ModelEntry } from './document.ts'
import type { Paint } from './paint.ts'
import type { Cell } from './table.ts'
import { alignRows, count, formatBytes } from './table.ts'

/** Tensors that are printed; --json has all. */
const mostLayers = 15

/** A comparison as people read it: outputs against what was asked of them, then the operators that move away, worst first. */
export function summarizeComparison(document: ComparisonDocument, paint: Paint): string {
  const { model, other, samples, data, notes, outputs, layers } = document
  const lines = [`${modelWords(model, paint)}`, `${modelWords(other, paint)}  ${paint.faint('compared with it')}`, '']
  if (data.synthetic) lines.push(paint.warn('  on made-up inputs: good for a try, says nothing about real data'), '')
  lines.push(...outputRows(outputs, paint), '')
  if (layers !== null) lines.push(...layerRows(layers, paint), '')
  lines.push(...outlierLines(document), ...latencyLines(document))
  lines.push(...notes.map((note) => paint.faint(`${note[0]?.toUpperCase()}${note.slice(1)}.`)))
  lines.push(toleranceLine(document), ...document.broken.map(({ message }) => paint.bad(`  ${message}`)))
  const verdict = document.ok ? paint.good('alike') : paint.bad('NOT alike')
  return `${[...lines, `${verdict} on ${count(samples, 'sample')}.`].join('\n')}\n`
}

function modelWords({ path, bytes }: ModelEntry, paint: Paint): string {
  return `${paint.strong(path ?? 'model')}  ${paint.faint(formatBytes(bytes))}`
}

function outputRows(outputs: readonly OutputEntry[], paint: Paint): string[] {
  const head = ['output', 'cosine', 'worst', 'SQNR', 'max error', 'mean error', 'relative', 'same class']
  const rows = outputs.map((output): string[] => {
    const { name, cosine, cosineWorst, maxAbs, meanAbs, relative, equal } = output
    if (equal !== null) return [name, '', '', '', small(maxAbs), '', '', `${percent(equal)} equal`]
    return [
      ...[name, cosine.toFixed(6), cosineWorst.toFixed(6), decibels(output), small(maxAbs), small(meanAbs)],
      ...[relative === null ? '' : percent(relative), classWords(output)],
    ]
  })
  return table(head, rows, paint)
}

function classWords({ top1, topK, k }: OutputEntry): string {
  return top1 === null || topK === null ? '' : `${percent(top1)}, of the best ${k}: ${percent(topK)}`
}

function layerRows(layers: readonly LayerEntry[], paint: Paint): string[] {
  const identical = layers.filter((layer) => layer.identical).length
  const shown = layers.filter((layer) => !layer.identical).slice(0, mostLayers)
  const head = ['introduced', 'cumulative', 'operator', 'node', 'tensor']
  const rows = shown.map((layer) => {
    const { op, node, value, chain, cumulative } = layer
    const others = chain.length > 1 ? ` (and ${chain.length - 1} before it)` : ''
    return [
      decibels(layer),
      decibels(cumulative),
      op,
      `${node}${others}`,
      value.startsWith(node) || node.includes(value) ? '' : value,
    ]
  })
  const rest = layers.length - shown.length - identical
  const more = rest > 0 ? [`  and ${count(rest, 'tensor')} nearer than these`] : []
  const same = `${count(layers.length, 'tensor')} that both have, ${identical} identical; SQNR, the worst first`
  return [same, ...(rows.length > 0 ? table(head, rows, paint) : []), ...more]
}

function table(head: readonly string[], rows: readonly (readonly string[])[], paint: Paint): string[] {
  const used = head.map((_, column) => rows.some((row) => row[column] !== '' && row[column] !== undefined))
  const cells = (row: readonly string[], how?: (text: string) => string): Cell[] =>
    row.filter((_, column) => used[column]).map((text) => (how ? { text, paint: how } : { text }))
  return alignRows([cells(head, paint.faint), ...rows.map((row) => cells(row))])
}

function outlierLines({ outliers }: ComparisonDocument): string[] {
  const { first, second } = outliers ?? {}
  if (!first || !second) return []
  const kurtosis = `kurtosis ${first.kurtosis.toFixed(1)}, then ${second.kurtosis.toFixed(1)}`
  const norm = `largest mean infinity norm ${first.infinityNorm.toFixed(1)}, then ${second.infinityNorm.toFixed(1)}`
  return [`What weights are multiplied with: ${kurtosis}; ${norm}.`]
}

function latencyLines({ latency }: ComparisonDocument): string[] {
  if (latency === null) return []
  const { firstMs, secondMs, ratio } = latency
  return [
    `One thread: ${firstMs.toFixed(2)} ms, then ${secondMs.toFixed(2)} ms a sample: ${ratio.toFixed(2)} of the time.`,
  ]
}

/** What was asked for; what is said of single outputs stands with them. */
function toleranceLine({ outputs, precision }: ComparisonDocument): string {
  const groups = new Map<string, string[]>()
  for (const { name, tolerance, equal } of outputs) {
    const { minEqual, ...floats } = tolerance
    const words = Object.entries(equal === null ? floats : { minEqual })
      .filter(([, limit]) => limit !== undefined)
      .map(([kind, limit]) => `${kindWords[kind] ?? kind} ${limit}`)
    const key = words.join(', ') || 'nothing but shapes and finite numbers'
    groups.set(key, [...(groups.get(key) ?? []), `"${name}"`])
  }
  const only = groups.size === 1
  const asked = Array.from(groups, ([words, names]) => (only ? words : `${names.join(', ')}: ${words}`))
  return `Asked for (${precision}): ${asked.join('; ')}.`
}

const kindWords: Readonly<Record<string, string>> = {
  atol: 'atol',
  rtol: 'rtol',
  minCosine: 'cosine at least',
  minSqnr: 'SQNR in dB at least',
  minTop1: 'same best class at least',
  minEqual: 'equal at least',
}

function decibels({ sqnrDb, identical }: { readonly sqnrDb: number | null; readonly identical?: boolean }): string {
  if (sqnrDb !== null) return `${sqnrDb.toFixed(1)} dB`
  return identical === false ? 'shape differs' : 'identical'
}

function small(value: number | null): string {
  return value === null ? '?' : value === 0 ? '0' : value.toPrecision(3)
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share > 0 && share < 0.001 ? 4 : 1)} %`
}
