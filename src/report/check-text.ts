import type { CheckDocument, CheckedModel } from './check.ts'
import { driftsOf, driftWords } from './check.ts'
import type { Paint } from './paint.ts'
import { count } from './table.ts'

/** A check as people read it: a line for a model, and one for every fact that is not as it was. */
export function summarizeCheck(document: CheckDocument, paint: Paint): string {
  const lines = document.models.flatMap((model) => modelLines(model, paint))
  return `${[...lines, '', lastLine(document, paint)].join('\n')}\n`
}

function modelLines(model: CheckedModel, paint: Paint): string[] {
  const { name, notes, error } = model
  const drifts = driftsOf(model).map((drift) => `  ${paint.bad('✗')} ${driftWords(drift)}`)
  const failure = error ? [`  ${paint.bad('✗')} ${error.message}`, ...(error.hint ? [`    ${error.hint}`] : [])] : []
  return [
    `${paint.strong(name)}  ${outcomeWords(model, paint)}`,
    ...[...drifts, ...failure, ...notes.map((note) => `  ${paint.faint(note)}`)],
  ]
}

function outcomeWords(model: CheckedModel, paint: Paint): string {
  const { outcome, cached, facts } = model
  const known = cached ? paint.faint(', known from an earlier check') : ''
  if (outcome === 'recorded') return `${paint.good('recorded')}${known}`
  if (outcome === 'failed') return paint.bad('cannot be checked')
  if (outcome === 'unchanged') return `${paint.good('unchanged')}, ${count(facts.length, 'fact')}${known}`
  return `${paint.bad(`${driftsOf(model).length} of ${count(facts.length, 'fact')} changed`)}${known}`
}

function lastLine({ models, lock, written }: CheckDocument, paint: Paint): string {
  const count = (outcome: CheckedModel['outcome']) => models.filter((model) => model.outcome === outcome).length
  const parts = (['unchanged', 'recorded', 'drift', 'failed'] as const)
    .filter((outcome) => count(outcome) > 0)
    .map((outcome) => `${count(outcome)} ${outcome === 'drift' ? 'changed' : outcome}`)
  const file = count('recorded') > 0 ? ` ${written ? 'Wrote' : 'Nothing new for'} ${paint.strong(lock)}.` : ''
  return `${parts.join(', ')}.${file}`
}
