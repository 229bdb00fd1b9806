/** The decision list: what a normaliser is, from the contractions its axis leads to. */
import type { Node, Value } from '../ir/index.ts'
import { annotationOf } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { builtFromSoftmax } from './approximation.ts'
import type { Column } from './column.ts'
import { columnOf, isHidden, isZero } from './column.ts'
import type { Frame } from './cursor.ts'
import { startAt } from './cursor.ts'
import { sigmoidGate } from './gate.ts'
import { isConstantIn, operandKind } from './memory.ts'
import type { Normaliser } from './normaliser.ts'
import { comparesChannels } from './provenance.ts'
import type { Policies, Sink, Verdict } from './site.ts'
import { because, isAlready, isAttention, isForced, quote } from './verdict.ts'
import type { Reached, Stop, WalkResult, Wiring } from './walk.ts'
import { walkBack, walkForward } from './walk.ts'

/** What the walks of one normaliser found, in one calling context. */
export interface Finding {
  readonly verdict: Verdict
  readonly scores: readonly Reached[]
  readonly values: readonly Reached[]
  readonly sink: Sink
  readonly spelling: string
}

export function classify(n: Normaliser, frame: Frame | undefined, wiring: Wiring, policies: Policies): Finding {
  const nothing = { scores: [], values: [], sink: n.sink, spelling: n.spelling }
  if (n.axis === undefined) return { ...nothing, verdict: because('review', 'axis-unknown', n.node) }
  const back = walkBack(startAt(n.input, n.axis, frame), wiring)
  const forward = walkForward(startAt(n.output, n.axis, frame), wiring)
  const scores = ranked(back.reached, wiring)
  const found = { scores, values: rankedValues(forward.reached, wiring), sink: n.sink, spelling: n.spelling }
  const policy = byName(n, policies)
  if (policy) return { ...found, verdict: policy }
  if (n.problem === 'log-softmax' || n.problem === 'unshifted-one')
    return { ...found, verdict: because('rejected', n.problem, n.node) }
  const sunk = sinkVerdict(n, found, wiring)
  if (sunk) return { ...found, ...sunk }
  const verdict = decide(n, scores, found.values, back, wiring, policies)
  return { ...found, verdict: withProblem(n, verdict, frame, wiring, policies) }
}

function byName(n: Normaliser, policies: Policies): Verdict | undefined {
  // A user may decide what a softmax is for, not what it computes.
  if (policies.force?.(n.node.label) && n.problem === undefined && n.axis !== undefined) return isForced(n.node)
  if (policies.only && !policies.only(n.node.label)) return because('rejected', 'excluded', n.node)
  return undefined
}

/** Softmax1 and learned sinks, however they are spelled. */
function sinkVerdict(
  n: Normaliser,
  found: { scores: readonly Reached[]; values: readonly Reached[] },
  wiring: Wiring,
): { verdict: Verdict; sink: Sink; spelling: string } | undefined {
  const recorded = recordedSink(n.node)
  if (n.problem === 'unknown-sink' && !recorded)
    return { verdict: because('review', 'unknown-sink', n.node), sink: n.sink, spelling: n.spelling }
  if (n.sink.kind !== 'none' || n.problem === 'unknown-sink') {
    const sink = recorded ?? n.sink
    return { verdict: sinkSentence(n.node, sink, 'its denominator has the extra term'), sink, spelling: n.spelling }
  }
  const gate = lateGate(n, found.values, wiring)
  if (gate)
    return {
      verdict: sinkSentence(n.node, gate, 'its context is scaled by sigmoid(logsumexp)'),
      sink: gate,
      spelling: 'softmax-late-sigmoid',
    }
  const column = n.axis === undefined ? undefined : columnOf(n.input, n.axis, wiring.facts)
  const dropped = column && dropOf(column, found.values, wiring)
  if (!column || !dropped) return undefined
  const spelling = column.isKey ? 'zero-key' : dropped === 'sliced' ? 'softmax1-pad-slice' : 'softmax1-pad-value'
  // Several rows of zeros that a mask computed from data covers are padding, and a masked column is no sink at all.
  if (column.value === 'unknown' && column.count !== 1) return undefined
  if (isHidden(column.value)) return undefined
  if (column.value === 'unknown' && !recorded)
    return { verdict: because('review', 'unknown-sink', n.node), sink: n.sink, spelling: n.spelling }
  const sink = recorded ?? columnSink(column)
  const how = column.isKey
    ? 'its keys and values have a row of zeros'
    : 'a column is appended to its scores and has no value'
  return { verdict: sinkSentence(n.node, sink, how), sink, spelling }
}

function sinkSentence(node: Node, sink: Sink, how: string): Verdict {
  if (sink.kind === 'learned') return because('learned-sink', 'learned-sink', node)
  const value = sink.kind === 'constant' ? ` with a sink of ${sink.value.join(', ')}` : ''
  return isAlready(node, `${how}${value}`)
}

/**
 * n columns of logit c weigh as one of logit c + log n. Numbers that differ by head are a parameter when they are joined to
 * the scores (gpt-oss), and the chosen sinks of a Softmax1 when they are the mask of a zero key.
 */
function columnSink(column: Column): Sink {
  if (!Array.isArray(column.value)) return { kind: 'learned' }
  if (column.value.length > 1 && !column.isKey) return { kind: 'learned' }
  const more = Math.log(column.count ?? 1)
  const value = (column.value as readonly number[]).map((c) => c + more)
  return value.every((s) => s === 0) ? { kind: 'zero' } : { kind: 'constant', value }
}

/** The sink this program recorded when it wrote the node; its numbers are not always read off the graph. */
function recordedSink(node: Node): Sink | undefined {
  const values = annotationOf(node, 'sink')?.split(',').map(Number)
  if (!values?.every(Number.isFinite)) return undefined
  return values.every((s) => s === 0) ? { kind: 'zero' } : { kind: 'constant', value: values }
}

/** Whether the column has no value: its probability is cut off, or its value row is zero. */
function dropOf(column: Column, values: readonly Reached[], wiring: Wiring): 'sliced' | 'zero-value' | undefined {
  for (const reached of values) {
    for (let at = reached.cursor; at.from; at = at.from) {
      const cut = at.step && cuts(at.step.node, at.step.axisIn, wiring)
      if (cut) return 'sliced'
    }
    const row = columnOf(reached.own.value, reached.axis, wiring.facts)
    if (row && row.side === column.side && row.count === column.count && isZero(row.value)) return 'zero-value'
  }
  return undefined
}

function cuts(node: Node, axis: number, { facts }: Wiring): boolean {
  if (node.op !== 'Slice' && node.op !== 'Split') return false
  const [input, output] = [node.input(0), node.output()]
  return input !== undefined && output !== undefined && facts.size(input, axis) !== facts.size(output, axis)
}

/** Softmax whose contexts (not its probabilities) are all multiplied by sigmoid(logsumexp(scores)). */
function lateGate(n: Normaliser, values: readonly Reached[], { facts }: Wiring): Sink | undefined {
  const sums = n.input.uses.some((u) => u.node.op === 'ReduceLogSumExp' || u.node.op === 'ReduceMax')
  if (!sums) return undefined
  const [gate, ...more] = values.map(({ product }) => gateBehind(product.node.output(), n, facts))
  return more.every((other) => other !== undefined) ? gate : undefined
}

function gateBehind(context: Value | undefined, n: Normaliser, facts: Facts): Sink | undefined {
  let at = context
  for (let i = 0; at && i < 6; i++) {
    for (const { node, index } of at.uses) {
      const gate = node.op === 'Mul' ? sigmoidGate(node.input(1 - index), n.input, n.output, facts) : undefined
      if (gate) return gate.sink
    }
    const [next] = at.uses
    at = next && layout.has(next.node.op) ? next.node.output() : undefined
  }
  return undefined
}

const layout = new Set(['Transpose', 'Reshape', 'Cast', 'Identity', 'Squeeze', 'Unsqueeze'])

/** The list of architecture.md in order: the first rule that fits decides. */
function decide(
  n: Normaliser,
  scores: readonly Reached[],
  values: readonly Reached[],
  back: WalkResult,
  wiring: Wiring,
  policies: Policies,
): Verdict {
  const { facts } = wiring
  const { node } = n
  const [score] = scores
  if (!score) {
    const carried = back.stops.some((s) => s.why === 'loop-carried') && values.length > 0
    return carried ? because('review', 'loop-carried', node) : because('rejected', 'no-score', node, endOf(back.stops))
  }
  const k = operandKind(score.own, score.cursor.frame, facts)
  const q = operandKind(score.other, score.cursor.frame, facts)
  const constantValues = values.length > 0 && values.every((v) => isConstantIn(v.own.value, v.cursor.frame, facts))
  if (k === 'weight' || (k === 'stored' && !constantValues))
    return because('rejected', 'k-is-weight', node, nameOf(score.own.value))
  if (q === 'weight' && !policies.pooling) return because('rejected', 'q-is-weight', node, nameOf(score.other.value))
  const value = values.find((v) => !isConstantIn(v.own.value, v.cursor.frame, facts)) ?? values[0]
  if (!value) return because('rejected', 'no-value', node, 'no product sums over the normalised axis')
  if (constantValues && k === 'data') return because('rejected', 'v-constant', node, nameOf(value.own.value))
  if (constantValues && q === 'data' && !policies.staticMemories) return because('rejected', 'static-memory', node)
  if (values.some((v) => builtFromSoftmax(v.own.value, v.cursor.frame, facts)))
    return because('rejected', 'kernel-approximation', node)
  if (comparesChannels(score, facts) && !policies.channelAttention)
    return because('rejected', 'channel-attention', node, `(${quote(score.product.node)}) `)
  return isAttention(node, score.product.node, value.product.node)
}

/** A verdict on attention, corrected by what keeps the spelling from being rewritten. */
function withProblem(
  n: Normaliser,
  verdict: Verdict,
  frame: Frame | undefined,
  wiring: Wiring,
  policies: Policies,
): Verdict {
  if (n.alsoAxes.length > 0) {
    const others = n.alsoAxes.map(
      (axis) => classify({ ...n, axis, alsoAxes: [], sink: n.sink }, frame, wiring, policies).verdict,
    )
    const any = [verdict, ...others].some((v) => v.kind === 'attention')
    return any ? because('review', 'flattened-axes', n.node) : verdict
  }
  if (verdict.kind !== 'attention' || !n.problem) return verdict
  if (n.problem === 'fused-operator')
    return because('fused', n.problem, n.node, `is ${n.node.op}, which has to be opened before it can take a sink.`)
  return because('review', n.problem, n.node)
}

/** Certain contractions of data first; walks that looked through mixings or guessed a Reshape last. */
function ranked(reached: readonly Reached[], { facts }: Wiring): Reached[] {
  const weigh = (r: Reached): number => {
    const k = operandKind(r.own, r.cursor.frame, facts)
    const q = operandKind(r.other, r.cursor.frame, facts)
    const active = k === 'data' ? (q === 'weight' ? 2 : 0) : k === 'memory' ? 1 : 3
    return active * 4 + r.cursor.mixings * 2 + (r.cursor.exact ? 0 : 1)
  }
  return sortedBy(reached, weigh)
}

function rankedValues(reached: readonly Reached[], { facts }: Wiring): Reached[] {
  return sortedBy(reached, (r) => (isConstantIn(r.own.value, r.cursor.frame, facts) ? 2 : 0) + (r.cursor.exact ? 0 : 1))
}

function sortedBy(reached: readonly Reached[], weigh: (r: Reached) => number): Reached[] {
  return reached
    .map((r) => ({ r, weight: weigh(r) }))
    .sort((a, b) => a.weight - b.weight)
    .map(({ r }) => r)
}

function nameOf(value: Value): string {
  return ` "${value.name}"`
}

/** Where a walk without scores ended, in words. */
function endOf(stops: readonly Stop[]): string {
  const stop = stops.find((s) => s.why === 'operator' || s.why === 'axis-lost') ?? stops[0]
  if (stop?.node && stop.why === 'axis-lost') return `its axis is lost in the ${stop.node.op} ${quote(stop.node)}`
  if (stop?.node) return `its input comes from the ${stop.node.op} ${quote(stop.node)}`
  return stop?.why === 'input'
    ? `its input is the graph input "${stop.cursor.value.name}"`
    : 'no product of two tensors leads to it'
}
