import type { Paint } from './paint.ts'
import type { QuantizationDocument, QuantizationEntry } from './quantization.ts'
import { alignRows, count, formatBytes } from './table.ts'

/** Reasons printed with names; the rest is in --json. */
const mostRows = 12

/** A quantization as people read it: what is int8, what is not and why, what it costs and what it saves. */
export function summarizeQuantization(document: QuantizationDocument, paint: Paint): string {
  const { model, quantization: q, calibration, files } = document
  const opset = model.opsets[''] ?? 1
  const heading = `${paint.strong(model.path ?? 'model')}  ${paint.faint(`${formatBytes(model.bytes)}, opset ${opset}`)}`
  const lines = [heading, '']
  if (calibration.synthetic) lines.push(paint.warn('  calibrated on made-up inputs: good for a try, not for use'), '')
  lines.push(...quantizationLines(q, paint))
  const [written] = files
  if (written) lines.push(`Wrote ${paint.strong(written.path)} (${formatBytes(total(document))}${ratio(q.sizeRatio)}).`)
  return `${lines.join('\n')}\n`
}

/** What was quantized and what was not, and how the result does. */
export function quantizationLines(entry: QuantizationEntry, paint: Paint): string[] {
  const { recipe, quantized, float } = entry
  const counts = paint.strong(`${count(quantized, 'product')} quantized (${recipe}), ${float} left in float.`)
  const options = entry.sessionOptions.map(({ key, value, why }) => `Session option ${key}=${value}: ${why}.`)
  return [...choiceLines(entry, paint), ...floatRows(entry, paint), counts, ...qualityLines(entry), ...options]
}

/** The recipes that were tried, and what stays in float for accuracy. */
function choiceLines({ recipe, choice }: QuantizationEntry, paint: Paint): string[] {
  const rows = alignRows(
    choice.tried.map((attempt) => [
      { text: attempt.recipe === recipe ? 'taken' : 'tried', paint: paint.faint },
      { text: attempt.recipe },
      { text: attempt.sqnrDb === null ? '' : `SQNR ${attempt.sqnrDb.toFixed(1)} dB`, paint: paint.faint },
    ]),
  )
  const written = choice.by === 'written' ? [`  The recipe ${recipe} is the one that is written in the model.`] : []
  const kept = choice.keepFloat.map((name) => `  --keep-float '${name}'`)
  const heading = kept.length > 0 ? ['  In float, for accuracy:'] : []
  const lines = [...rows, ...written, ...heading, ...kept]
  return lines.length > 0 ? [...lines, ''] : []
}

/** Products in float, those of one reason together. */
function floatRows({ products }: QuantizationEntry, paint: Paint): string[] {
  const groups = new Map<string, string[]>()
  for (const { node, quantized, reason } of products) {
    if (quantized || reason === null) continue
    groups.set(reason, [...(groups.get(reason) ?? []), node])
  }
  const shown = [...groups].slice(0, mostRows)
  const rows = alignRows(
    shown.map(([reason, nodes]) => [
      { text: 'in float', paint: paint.faint },
      { text: nodes.length > 1 ? `${nodes[0]}  (${nodes.length})` : (nodes[0] ?? '') },
      { text: reason, paint: paint.faint },
    ]),
  )
  return rows.length > 0 ? [...rows, ''] : []
}

function qualityLines({ quality, latencyRatio }: QuantizationEntry): string[] {
  if (!quality) return ['The result was not run: there is no data to compare it on.']
  const { samples, cosineMean, cosineWorst, sqnrDb } = quality
  const noise = sqnrDb === null ? '' : `, SQNR ${sqnrDb.toFixed(1)} dB`
  const speed = latencyRatio === null ? '' : ` One thread: ${latencyRatio.toFixed(2)} of the time of the input model.`
  return [
    `On ${count(samples, 'sample')} kept back: cosine ${cosineMean.toFixed(5)}, worst ${cosineWorst.toFixed(5)}${noise}.${speed}`,
  ]
}

function total({ files }: QuantizationDocument): number {
  return files.reduce((sum, file) => sum + file.bytes, 0)
}

function ratio(value: number | null): string {
  return value === null ? '' : `, ${value.toFixed(3)} of the input`
}
