import type { CheckDocument, CheckedModel } from './check.ts'
import { driftsOf, driftWords } from './check.ts'
import type { Annotation } from './github.ts'
import { markdownTable, markdownText } from './github.ts'
import type { TestSuite } from './junit.ts'
import { junit } from './junit.ts'
import { count } from './table.ts'

/** A check as JUnit XML: a suite for a model, a case for a fact. */
export function checkJunit({ models }: CheckDocument): string {
  return junit('outeffhop-convert check', models.map(suiteOf))
}

function suiteOf(model: CheckedModel): TestSuite {
  const { name, facts, error, outcome } = model
  const cases = facts.map((fact) => ({
    group: `${name}.${fact.group}`,
    name: fact.fact,
    ...(!fact.ok && { failure: driftWords(fact) }),
  }))
  if (error) return { name, cases: [{ group: name, name: 'check', error: withHint(error) }] }
  return { name, cases: cases.length > 0 ? cases : [{ group: name, name: outcome }] }
}

/** GitHub shows about ten of a step. */
const mostAnnotations = 10

/** What GitHub is to show beside the lock file, `lineOf` saying where the entry of a model is. */
export function checkAnnotations(
  { models, lock }: CheckDocument,
  lineOf: (name: string) => number | undefined,
): readonly Annotation[] {
  const all = models.flatMap((model): Annotation[] => {
    const place = { level: 'error', file: lock, line: lineOf(model.name) } as const
    if (model.error) return [{ ...place, title: `${model.name} cannot be checked`, message: withHint(model.error) }]
    return driftsOf(model).map((drift) => ({ ...place, title: model.name, message: driftWords(drift) }))
  })
  if (all.length <= mostAnnotations) return all
  const rest = all.length - mostAnnotations + 1
  const more: Annotation = { level: 'error', file: lock, title: 'outeffhop-convert check', message: `and ${rest} more` }
  return [...all.slice(0, mostAnnotations - 1), more]
}

/** Rows of a table; a summary may have a megabyte. */
const mostRows = 200

/** The check in the Markdown of a job summary. */
export function checkSummary(document: CheckDocument): string {
  const { models, ok, lock } = document
  const head = `### outeffhop-convert check: ${ok ? 'unchanged' : 'changed'}\n\n${markdownText(lock)}`
  return `${[head, ...models.map(sectionOf)].join('\n\n')}\n`
}

function sectionOf(model: CheckedModel): string {
  const { name, outcome, error, notes } = model
  const drifts = driftsOf(model)
  const rows = drifts.slice(0, mostRows).map(({ fact, was, is, todo }) => [fact, was ?? '', is ?? '', todo ?? ''])
  const more = drifts.length > mostRows ? [`and ${count(drifts.length - mostRows, 'fact')} more`] : []
  return [
    `**${markdownText(name)}**: ${outcome}`,
    ...(error ? [markdownText(withHint(error))] : []),
    ...(rows.length > 0 ? [markdownTable(['fact', 'was', 'is', 'what to do'], rows)] : []),
    ...[...more, ...notes.map(markdownText)],
  ].join('\n\n')
}

function withHint({ message, hint }: NonNullable<CheckedModel['error']>): string {
  return hint === null ? message : `${message}. ${hint}`
}
