import type { CheckedFact, FactGroup } from '../report/check.ts'
import { formatBytes } from '../report/table.ts'
import type { Facts, SiteFacts } from './facts.ts'
import { outputFacts, outputsOf } from './output-drift.ts'
import type { Slack, Thresholds } from './thresholds.ts'

/** What is to be done about a drift, by what drifted: the words for this model. */
export interface Advice {
  readonly explain: string
  readonly record: string
}

interface Tolerances {
  readonly thresholds: Thresholds
  readonly slack: Slack
}

/**
 * Every fact that was recorded beside the same fact now, and every fact that is new, in the order of the lock file. Where
 * nothing can be made of the model any more, only that is said of the result.
 */
export function compareFacts(was: Facts, is: Facts, { thresholds, slack }: Tolerances, advice: Advice): CheckedFact[] {
  const { record, explain } = advice
  const meant = `if it is meant, record it: ${record}`
  const put = `put the recorded one back, or record this one: ${record}`
  const given = [
    ...pairs('input', (name) => `file "${name}"`, map(was.files, hash), map(is.files, hash), put),
    fact('input', 'data', dataWords(was.data), dataWords(is.data), put),
    fact('conversion', 'conversion', doneWords(was.refused), doneWords(is.refused), `see ${explain}, or ${meant}`),
  ]
  if (is.refused !== null) return given
  const size = Math.abs(is.bytes - was.bytes) <= slack.bytes * was.bytes
  return [
    ...given,
    fact('conversion', 'run in ONNX Runtime', runWords(was.runs), runWords(is.runs), `see ${explain}, or ${meant}`),
    fact('graph', 'oldest ONNX Runtime', was.runtime, is.runtime, meant),
    fact('graph', 'IR version', String(was.irVersion), String(is.irVersion), meant),
    ...pairs('graph', (name) => `opset of ${name}`, map(was.opsets, String), map(is.opsets, String), meant),
    { ...fact('graph', 'size', formatBytes(was.bytes), formatBytes(is.bytes), meant), ok: size },
    ...pairs('graph', (name) => `operator ${name}`, map(was.operators, nodes), map(is.operators, nodes), meant),
    ...pairs(
      'sites',
      (name) => `site "${name}"`,
      map(was.sites, siteWords),
      map(is.sites, siteWords),
      `see ${explain}, or ${meant}`,
    ),
    ...productFacts(was, is, meant),
    ...pairs('conversion', (name) => `warning ${name}`, present(was.warnings), present(is.warnings), meant),
    ...outputFacts(was.outputs, is.outputs, { thresholds, slack }, record),
  ].map(settled)
}

/**
 * What to record of a model that was recorded before: numbers that are the same within the slack stay as they are written,
 * so that another machine changes no line.
 */
export function keptFacts(was: Facts, is: Facts, tolerances: Tolerances): Facts {
  const { slack } = tolerances
  const outputs =
    is.outputs &&
    Object.fromEntries(
      Object.entries(is.outputs).map(([name, now]) => {
        const before = outputsOf(was.outputs).get(name)
        const same = before && outputFacts({ [name]: before }, { [name]: now }, { slack, thresholds: {} }, '')
        return [name, before && same?.every(({ ok }) => ok) ? before : now] as const
      }),
    )
  const bytes = Math.abs(is.bytes - was.bytes) <= slack.bytes * was.bytes ? was.bytes : is.bytes
  return { ...is, outputs, bytes }
}

function productFacts(was: Facts, is: Facts, todo: string): CheckedFact[] {
  const count = ({ products }: Facts) => (products === null ? null : String(products.quantized))
  const inFloat = ({ products }: Facts) => map(products?.float ?? {}, (reason) => `float: ${reason}`)
  return [
    fact('products', 'quantized products', count(was), count(is), todo),
    ...pairs('products', (name) => `product "${name}"`, inFloat(was), inFloat(is), todo).map((one) => ({
      ...one,
      was: one.was ?? (was.products && 'quantized'),
      is: one.is ?? (is.products && 'quantized'),
    })),
  ]
}

function fact(group: FactGroup, name: string, was: string | null, is: string | null, todo: string): CheckedFact {
  return { fact: name, group, ok: was === is, was, is, todo }
}

/** One fact for every name that either has: those of the recording first. */
function pairs(
  group: FactGroup,
  nameOf: (name: string) => string,
  was: Readonly<Record<string, string>>,
  is: Readonly<Record<string, string>>,
  todo: string,
): CheckedFact[] {
  const [before, now] = [was, is].map((record) => new Map(Object.entries(record))) as [
    Map<string, string>,
    Map<string, string>,
  ]
  const names = new Set([...before.keys(), ...now.keys()])
  return Array.from(names, (name) => fact(group, nameOf(name), before.get(name) ?? null, now.get(name) ?? null, todo))
}

function map<T>(record: Readonly<Record<string, T>>, words: (value: T) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, words(value)]))
}

/** Nothing is to be done about a fact that holds. */
function settled(one: CheckedFact): CheckedFact {
  return one.ok ? { ...one, todo: null } : one
}

function present(codes: readonly string[]): Record<string, string> {
  return Object.fromEntries(codes.map((code) => [code, 'there']))
}

function hash(sha256: string): string {
  return `sha256 ${sha256.slice(0, 16)}`
}

function nodes(count: number): string {
  return `${count} ${count === 1 ? 'node' : 'nodes'}`
}

function dataWords(data: Facts['data']): string | null {
  return data && `${data.samples} samples of ${data.kind}, ${hash(data.sha256)}`
}

function doneWords(refused: string | null): string {
  return refused === null ? 'done' : `refused: ${refused}`
}

function runWords(runs: boolean | null): string | null {
  return runs === null ? null : runs ? 'runs' : 'does not run'
}

function siteWords({ verdict, reason, form }: SiteFacts): string {
  return `${verdict}${reason === undefined ? '' : ` (${reason})`}${form === undefined ? '' : ` as ${form}`}`
}
