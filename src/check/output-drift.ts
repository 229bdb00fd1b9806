import type { CheckedFact } from '../report/check.ts'
import type { OutputFacts } from './outputs.ts'
import { sketchDistance } from './sketch.ts'
import type { Slack, Thresholds } from './thresholds.ts'
import { limitOf } from './thresholds.ts'

type Outputs = Readonly<Record<string, OutputFacts>> | null

interface Tolerances {
  readonly thresholds: Thresholds
  readonly slack: Slack
}

/** What every output was beside what it is: the model's own numbers, the errors of the result, and the thresholds. */
export function outputFacts(was: Outputs, is: Outputs, tolerances: Tolerances, record: string): CheckedFact[] {
  const [recorded, measured] = [outputsOf(was), outputsOf(is)]
  const idle = idleThresholds(measured, tolerances.thresholds)
  const facts = [...new Set([...recorded.keys(), ...measured.keys()])].flatMap((name) => {
    const [before, now] = [recorded.get(name), measured.get(name)]
    const bounds = now === undefined ? [] : thresholdFacts(name, now, tolerances.thresholds, record)
    if (before === undefined || now === undefined) return [presence(name, before, now, record), ...bounds]
    return [
      ownFact(name, before, now, tolerances.slack, record),
      ...errorFacts(name, before, now, tolerances.slack, record),
      ...bounds,
    ]
  })
  return [...facts, ...idle]
}

/** A threshold of an output that nothing is known of would hold for ever. */
function idleThresholds(measured: ReadonlyMap<string, OutputFacts>, thresholds: Thresholds): CheckedFact[] {
  return bounds.flatMap(([threshold]) => {
    const limit = thresholds[threshold]
    const names = typeof limit === 'object' ? Object.keys(limit) : limit === undefined ? [] : ['*']
    const idle = names.filter((name) => (name === '*' ? measured.size === 0 : !measured.has(name)))
    return idle.map((name) => ({
      fact: `threshold ${threshold}${name === '*' ? '' : ` of output "${name}"`}`,
      group: 'thresholds' as const,
      ok: false,
      was: 'a bound',
      is: 'nothing that was measured',
      todo: 'give data with --data, or take the threshold out of the lock file',
    }))
  })
}

/** By name, whatever the names are. */
export function outputsOf(outputs: Outputs): ReadonlyMap<string, OutputFacts> {
  return new Map(Object.entries(outputs ?? {}))
}

function presence(
  name: string,
  was: OutputFacts | undefined,
  is: OutputFacts | undefined,
  record: string,
): CheckedFact {
  const words = (of: OutputFacts | undefined) => (of === undefined ? null : 'compared')
  const todo =
    is === undefined
      ? `give the recorded data with --data and install onnxruntime-node, or record it without: ${record}`
      : `if it is meant, record it: ${record}`
  return { fact: `output "${name}"`, group: 'outputs', ok: false, was: words(was), is: words(is), todo }
}

/** Whether the model itself, before anything is made of it, gives what it gave. */
function ownFact(
  name: string,
  { own: was }: OutputFacts,
  { own: is }: OutputFacts,
  slack: Slack,
  record: string,
): CheckedFact {
  const distance = Math.max(
    sketchDistance(was.sketch, is.sketch, was.rms),
    sketchDistance([was.rms], [is.rms], was.rms),
  )
  const ok = distance <= slack.outputs
  const away = `${digits(100 * distance)} % away`
  return {
    fact: `output "${name}" of the model itself`,
    group: 'outputs',
    ok,
    was: `rms ${digits(was.rms)}`,
    is: `rms ${digits(is.rms)}, ${away}`,
    todo: `the model computes something else: put the recorded one back, or record this one: ${record}`,
  }
}

/** An error of the result, and when it counts as another one than it was. */
interface Measure {
  readonly name: string
  value(facts: OutputFacts): number | null
  /** What is compared: smaller is better. */
  error(facts: OutputFacts): number
  readonly slack: 'errors' | 'extremes' | undefined
  /** Differences below this are rounding, as a share of `scale`. */
  readonly floor: number
  readonly scale: 'one' | 'rms'
}

const measures: readonly Measure[] = [
  {
    name: 'SQNR (dB)',
    value: ({ error }) => error.sqnrDb,
    error: ({ error }) => (error.sqnrDb === null ? 0 : 10 ** (-error.sqnrDb / 20)),
    ...{ slack: 'errors', floor: 1e-4, scale: 'one' },
  },
  {
    name: 'mean cosine',
    value: ({ error }) => error.cosineMean,
    error: ({ error }) => 1 - error.cosineMean,
    // A cosine is a square of what the others measure.
    ...{ slack: 'extremes', floor: 1e-6, scale: 'one' },
  },
  {
    name: 'least cosine',
    value: ({ error }) => error.cosineWorst,
    error: ({ error }) => 1 - error.cosineWorst,
    ...{ slack: 'extremes', floor: 1e-6, scale: 'one' },
  },
  {
    name: 'mean error',
    value: ({ error }) => error.meanAbs,
    error: ({ error }) => error.meanAbs,
    ...{ slack: 'errors', floor: 1e-4, scale: 'rms' },
  },
  {
    name: 'largest error',
    value: ({ error }) => error.maxAbs,
    error: ({ error }) => error.maxAbs,
    ...{ slack: 'extremes', floor: 1e-3, scale: 'rms' },
  },
  {
    name: 'elements that are no number',
    value: ({ error }) => error.notFinite,
    error: ({ error }) => error.notFinite,
    ...{ slack: undefined, floor: 0, scale: 'one' },
  },
]

function errorFacts(name: string, was: OutputFacts, is: OutputFacts, slack: Slack, record: string): CheckedFact[] {
  return measures.map((measure) => {
    const [before, now] = [measure.error(was), measure.error(is)]
    const share = measure.slack === undefined ? 0 : slack[measure.slack]
    const floor = measure.floor * (measure.scale === 'rms' ? was.own.rms : 1)
    const worse = now > before
    return {
      fact: `output "${name}": ${measure.name}`,
      group: 'outputs',
      ok: Math.abs(now - before) <= share * before + floor,
      was: valueWords(measure.value(was)),
      is: valueWords(measure.value(is)),
      todo: worse
        ? `the result is further from the model: find out what changed it, or record it: ${record}`
        : `the result is nearer to the model: record it: ${record}`,
    }
  })
}

const bounds = [
  ['minCosine', 'least cosine', 'at least'],
  ['minSqnrDb', 'SQNR (dB)', 'at least'],
  ['maxAbs', 'largest error', 'at most'],
] as const

function thresholdFacts(name: string, is: OutputFacts, thresholds: Thresholds, record: string): CheckedFact[] {
  return bounds.flatMap(([threshold, measureName, words]) => {
    const limit = limitOf(thresholds[threshold], name)
    if (limit === undefined) return []
    const measure = measures.find((one) => one.name === measureName) as Measure
    const value = measure.value(is) ?? Number.POSITIVE_INFINITY
    return {
      fact: `output "${name}": threshold ${threshold}`,
      group: 'thresholds' as const,
      ok: words === 'at least' ? value >= limit : value <= limit,
      was: `${words} ${limit}`,
      is: valueWords(measure.value(is)),
      todo: `make the result better (--recipe, --keep-float), or change "thresholds" in the lock file and ${record}`,
    }
  })
}

function valueWords(value: number | null): string {
  return value === null ? 'no difference' : digits(value)
}

function digits(value: number): string {
  return String(Number(value.toPrecision(6)))
}
