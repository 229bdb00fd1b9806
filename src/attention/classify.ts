/** The decision list: what a normaliser is, from the contractions its axis leads to. */
import type { Node, Value } from '../ir/index.ts'
import { annotationOf } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { contractedLabels, functionOf } from '../ops/index.ts'
import { builtFromSoftmax } from './approximation.ts'
import type { Column } from './column.ts'
import { columnOf, isHidden, isZero } from './column.ts'
import type { Frame } from './cursor.ts'
import { startAt } from './cursor.ts'
import { sigmoidGate } from './gate.ts'
import { isConstantIn, operandKind } from './memory.ts'
import type { Normaliser } from './normaliser.ts'
import { pairingOf } from './pairwise.ts'
import { peel } from './peel.ts'
import { comparesChannels } from './provenance.ts'
import { columnSink } from './sink.ts'
import type { Policies, Reason, Sink, Verdict } from './site.ts'
import { isStatistic } from './statistic.ts'
import { because, isAlready, isAttention, isForced, quote } from './verdict.ts'
import type { Reached, Stop, WalkResult, Wiring } from './walk.ts'
import { walkBack, walkForward } from './walk.ts'

/** What the walks of one normaliser found, in one calling context. */
export interface Finding {
  readonly verdict: Verdict
  readonly scores: readonly Reached[]
  readonly values: readonly Reached[]
  /** Sums over the keys that are statistics of the probabilities. */
  readonly statistics: readonly Reached[]
  readonly sink: Sink
  readonly spelling: string
}

export function classify(n: Normaliser, frame: Frame | undefined, wiring: Wiring, policies: Policies): Finding {
  const nothing = { scores: [], values: [], statistics: [], sink: n.sink, spelling: n.spelling }
  if (n.axis === undefined) return { ...nothing, verdict: because('review', 'axis-unknown', n.node, callsOf(n.node)) }
  const back = walkBack(startAt(n.input, n.axis, frame), wiring)
  const forward = walkForward(startAt(n.output, n.axis, frame), wiring)
  const scores = ranked(back.reached, wiring)
  const statistics = forward.reached.filter((reached) => isStatistic(reached, n.output, wiring.facts))
  const values = rankedValues(
    forward.reached.filter((reached) => !statistics.includes(reached)),
    wiring,
  )
  const found = { scores, values, statistics, sink: n.sink, spelling: n.spelling }
  const named = policies.force?.(n.node.label) ?? false
  if (!named && policies.only && !policies.only(n.node.label))
    return { ...found, verdict: because('rejected', 'excluded', n.node) }
  if (n.problem === 'unshifted-one' && !named) return { ...found, verdict: because('rejected', n.problem, n.node) }
  if (n.problem === 'log-softmax') {
    const weighed = forward.stops.flatMap((stop) => valuesBehindExp(stop, wiring))
    const role = decide(n, scores, weighed, back, wiring, policies)
    const isAttention = role.kind === 'attention'
    const verdict = isAttention
      ? because('review', 'masked-logarithms', n.node)
      : because('rejected', n.problem, n.node)
    return { ...found, verdict }
  }
  const sunk = sinkVerdict(n, found, wiring)
  if (sunk) return { ...found, ...sunk }
  if (named && isDecidable(n)) return { ...found, verdict: isForced(n.node) }
  const verdict = decide(n, scores, found.values, back, wiring, policies)
  return { ...found, verdict: withProblem(n, verdict, frame, wiring, policies) }
}

/** Why an axis may be unknown in a function. */
function callsOf({ graph }: Node): string {
  const fn = functionOf(graph)
  return fn ? `, or the calls of the function "${fn.domain}.${fn.name}" differ in the rank or the axis` : ''
}

/** Products with values of what an Exp makes of logarithms. */
function valuesBehindExp({ node, cursor }: Stop, wiring: Wiring): readonly Reached[] {
  const output = node?.op === 'Exp' ? node.output() : undefined
  return output ? walkForward(startAt(output, cursor.axis, cursor.frame), wiring).reached : []
}

/** A user may decide what a softmax is for, and what scores are, but not what the spelling computes. */
function isDecidable({ axis, alsoAxes, problem }: Normaliser): boolean {
  return axis !== undefined && alsoAxes.length === 0 && (problem === undefined || decidable.has(problem))
}

const decidable: ReadonlySet<Reason> = new Set(['unknown-shift', 'unshifted-one'])

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

/** The first rule that fits decides. */
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
    if (carried) return because('review', 'loop-carried', node)
    return (
      paired(n, { value: n.input, axis: n.axis, products: true }, values, facts) ??
      because('rejected', 'no-score', node, endOf(n, back.stops))
    )
  }
  const k = operandKind(score.own, score.cursor.frame, facts)
  const q = operandKind(score.other, score.cursor.frame, facts)
  const constantValues = values.length > 0 && values.every((v) => isConstantIn(v.own.value, v.cursor.frame, facts))
  const memory = constantValues && policies.staticMemories && values.some((v) => isTable(v, facts))
  if (!memory && (k === 'weight' || (k === 'stored' && !constantValues)))
    return because('rejected', 'k-is-weight', node, nameOf(score.own.value))
  if (q === 'weight' && !policies.pooling)
    return (
      paired(n, { value: score.own.value, axis: score.axis, products: false }, values, facts) ??
      because('rejected', 'q-is-weight', node, learnedQueries(score, facts))
    )
  const value = values.find((v) => !isConstantIn(v.own.value, v.cursor.frame, facts)) ?? values[0]
  if (!value) return because('rejected', 'no-value', node, 'no product sums over the normalised axis')
  if (constantValues && k === 'data') return because('rejected', 'v-constant', node, nameOf(value.own.value))
  if (constantValues && q === 'data' && !policies.staticMemories) return because('rejected', 'static-memory', node)
  if (values.every((v) => builtFromSoftmax(v.own.value, v.cursor.frame, facts)))
    return because('rejected', 'kernel-approximation', node)
  if (comparesChannels(score, facts) && !policies.channelAttention)
    return because('rejected', 'channel-attention', node, `(${quote(score.product.node)}) `)
  return isAttention(node, score.product.node, value.product.node)
}

/** Scores that combine keys with queries otherwise than by a product may be attention, where they weigh values. */
function paired(
  { node }: Normaliser,
  { value, axis, products }: { value: Value; axis: number | undefined; products: boolean },
  values: readonly Reached[],
  facts: Facts,
): Verdict | undefined {
  const weighs = values.some((v) => !isConstantIn(v.own.value, v.cursor.frame, facts))
  const pairing = weighs && axis !== undefined ? pairingOf(value, axis, facts, products) : undefined
  return pairing && because('review', 'pairwise-score', node, `in ${quote(pairing)}`)
}

/** Whether stored values are rows of more than one number: the mean of single numbers is what a distribution expects. */
function isTable({ own, axis }: Reached, facts: Facts): boolean {
  const others = (facts.shape(own.value) ?? []).filter((_, i, shape) => i - shape.length !== axis)
  return others.some((size) => size !== 1)
}

/** The queries that are a constant: how many, and its name. */
function learnedQueries({ product, own, other }: Reached, facts: Facts): string {
  const shape = facts.shape(other.value) ?? []
  const summed = contractedLabels(product)
  const free = other.labels.slice(-shape.length).map((label, i) => [label, shape[i]] as const)
  const sizes = free.flatMap(([label, size]) => (summed.includes(label) || own.labels.includes(label) ? [] : [size]))
  const count = sizes.reduce<number>((all, size) => all * (typeof size === 'number' ? size : Number.NaN), 1)
  return `${count === 1 ? 'a learned query' : Number.isNaN(count) ? 'learned queries' : `${count} learned queries`}${nameOf(other.value)}`
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
function endOf({ input }: Normaliser, stops: readonly Stop[]): string {
  const tells = (s: Stop): boolean => (s.why === 'operator' && s.node?.op !== 'Constant') || s.why === 'axis-lost'
  const stop = stops.find(tells) ?? stops.find((s) => s.why === 'input')
  if (stop?.node && stop.why === 'axis-lost') return `its axis is lost in the ${stop.node.op} ${quote(stop.node)}`
  if (stop?.node && peel(input)?.producer === stop.node)
    return `its input comes from the ${stop.node.op} ${quote(stop.node)}`
  if (stop?.node) return `the way back from its input ends at the ${stop.node.op} ${quote(stop.node)}`
  return stop
    ? `no product of queries and keys leads from "${stop.cursor.value.name}" to it`
    : 'no product of two tensors leads to it'
}
