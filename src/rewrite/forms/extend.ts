/**
 * What one node on the way of the scores, or of the probabilities, needs so that the key axis can be one longer.
 *
 * The new last column holds 0 on the way to the softmax (the product of a query with a zero key) and must hold 0 behind
 * every node; behind the softmax it may hold anything finite, because it is multiplied by a zero value.
 */
import type { Step } from '../../attention/index.ts'
import type { Node, Value } from '../../ir/index.ts'
import { isFloat, Tensor } from '../../ir/index.ts'
import type { Facts } from '../../ops/index.ts'
import type { Ops } from '../ops.ts'
import type { Columns, KeyLength } from './column.ts'
import { oneHot } from './column.ts'

export type Phase = 'scores' | 'probabilities'

/** Edits the node in place; `ops` inserts before it. */
export type Edit = (ops: Ops, keys: KeyLength) => void

export interface Extension {
  readonly edits: readonly Edit[]
  /** Inputs that get one more column each, as `[input, fill]`. */
  readonly padded: readonly (readonly [number, number])[]
}

const nothing: Extension = { edits: [], padded: [] }

interface Question {
  readonly step: Step
  readonly node: Node
  readonly phase: Phase
  readonly facts: Facts
  /** Size of the key axis before. */
  readonly keys: number | string | undefined
}

/** How a step is extended, or why it cannot be. */
export function extendStep(step: Step, phase: Phase, facts: Facts, keys: number | string | undefined): Extension | string {
  const { node } = step
  if (node.domain !== '') return `${node.op} "${node.label}" stands between the scores and the values`
  const rule = rules[node.opType]
  return rule?.({ step, node, phase, facts, keys }) ?? `${node.op} "${node.label}" stands between the scores and the values`
}

type Rule = (q: Question) => Extension | string | undefined

const transparent: Rule = () => nothing

const rules: Readonly<Record<string, Rule>> = {
  Add: (q) => operands(q, 0),
  Cast: ({ node }) => (isFloat(node.int('to') ?? 0) ? nothing : undefined),
  Clip: (q) => (q.phase === 'probabilities' || clipKeepsZero(q) ? nothing : `Clip "${q.node.label}" moves a score of 0`),
  Div: (q) => (q.step.input === 0 ? factors(q) : undefined),
  Dropout: transparent,
  Einsum: transparent,
  Expand: (q) => newShape(q, 1),
  Gather: transparent,
  Identity: transparent,
  MatMul: transparent,
  Max: (q) => bounds(q, (x) => x <= 0),
  Min: (q) => bounds(q, (x) => x >= 0),
  Mul: factors,
  Neg: transparent,
  Relu: transparent,
  Reshape: (q) => newShape(q, 0),
  Squeeze: transparent,
  Sub: (q) => (q.step.input === 0 ? operands(q, 0) : undefined),
  Sum: (q) => operands(q, 0),
  Tanh: transparent,
  Transpose: transparent,
  Unsqueeze: transparent,
  Where: where,
}

/** Whether a value has one element on the key axis, so that it broadcasts over the new column too. */
function broadcasts(value: Value, q: Question): boolean {
  const rank = q.facts.rank(value)
  return rank !== undefined && (rank < -q.step.axisOut || q.facts.size(value, q.step.axisOut) === 1)
}

function others(q: Question): [number, Value][] {
  return [...q.node.inputs.entries()].filter((e): e is [number, Value] => e[1] !== undefined && e[0] !== q.step.input)
}

/** Summands: their new column is `fill`, also where they broadcast, because a constant row would move the sink. */
function operands(q: Question, fill: number): Extension {
  const list = others(q).filter(([, value]) => q.phase === 'scores' || !broadcasts(value, q))
  return { edits: [], padded: list.map(([input]) => [input, fill]) }
}

/** Factors and divisors: 0 stays 0 whatever they are. */
function factors(q: Question): Extension {
  return { edits: [], padded: others(q).flatMap(([input, value]) => (broadcasts(value, q) ? [] : [[input, 1] as const])) }
}

function bounds(q: Question, keepsZero: (bound: number) => boolean): Extension | string {
  for (const [, value] of others(q)) {
    if (q.phase === 'probabilities' && broadcasts(value, q)) continue
    const bound = q.facts.scalar(value)
    if (bound === undefined || !keepsZero(bound)) return `${q.node.op} "${q.node.label}" may move a score of 0`
  }
  return nothing
}

function clipKeepsZero({ node, facts }: Question): boolean {
  const low = node.input(1) ? facts.scalar(node.input(1)) : (node.float('min') ?? Number.NEGATIVE_INFINITY)
  const high = node.input(2) ? facts.scalar(node.input(2)) : (node.float('max') ?? Number.POSITIVE_INFINITY)
  return low !== undefined && high !== undefined && low <= 0 && high >= 0
}

/** The condition keeps the followed branch in the new column; the other branch only has to have one. */
function where(q: Question): Extension | string | undefined {
  if (q.step.input === 0) return undefined
  const padded: [number, number][] = []
  for (const [input, value] of others(q)) {
    if (input === 0) {
      if (isGuard(value, q) || (q.phase === 'probabilities' && broadcasts(value, q))) continue
      padded.push([0, q.step.input === 1 ? 1 : 0])
    } else if (!broadcasts(value, q)) padded.push([input, 0])
  }
  return { edits: [], padded }
}

/** IsNaN of the very value that is followed grows with it. */
function isGuard(condition: Value, { step }: Question): boolean {
  const guard = condition.producer
  return guard?.op === 'IsNaN' && guard.input(0) === step.node.input(step.input)
}

/** Reshape and Expand name sizes: the entry of the key axis grows by one. `neutral` is the entry that needs no change. */
function newShape(q: Question, neutral: 0 | 1): Extension | string | undefined {
  const { node, step, facts, keys } = q
  const shape = node.input(1)
  if (!shape) return undefined
  const entries = facts.content(shape)
  if (!entries) return `the shape "${shape.name}" of ${node.op} "${node.label}" is not known`
  const index = entries.length + step.axisOut
  const entry = entries[index]
  if (index < 0) return nothing
  if (node.opType === 'Reshape' && entry === -1) return nothing
  if (entry === neutral) {
    if (node.opType === 'Expand') return nothing
    const rank = facts.rank(node.input(0) as Value)
    return rank !== undefined && rank + step.axisIn === index ? nothing : `Reshape "${node.label}" copies another axis`
  }
  if (entry !== keys) return `${node.op} "${node.label}" mixes the key axis with others`
  const edit: Edit = (ops) => node.setInput(1, grown(shape, entries, index, ops))
  return { edits: [edit], padded: [] }
}

function grown(shape: Value, entries: readonly (number | string)[], index: number, ops: Ops): Value {
  if (entries.every((entry) => typeof entry === 'number'))
    return ops.constant(Tensor.int64(entries.map((entry, i) => (i === index ? entry + 1 : entry))))
  return ops.Add(shape, oneHot(entries.length, index - entries.length, ops))
}

/** Applies an extension to the node of its step. */
export function applyExtension(step: Step, extension: Extension, keys: KeyLength, columns: Columns, facts: Facts, ops: Ops): void {
  for (const [input, fill] of extension.padded) {
    const operand = step.node.input(input) as Value
    step.node.setInput(input, columns.padded(operand, step.axisOut, fill, keys, facts, ops))
  }
  for (const edit of extension.edits) edit(ops, keys)
}
