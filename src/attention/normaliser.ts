import type { Graph, Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { decomposedSoftmax } from './decomposed.ts'
import { exponentialAt } from './exponential.ts'
import { sigmoidGate } from './gate.ts'
import { peel } from './peel.ts'
import { hasForeignShift, maximumShift } from './shift.ts'
import type { Reason, Sink } from './site.ts'

/** One spelling of a softmax, whatever it is used for. */
export interface Normaliser {
  readonly node: Node
  readonly nodes: readonly Node[]
  readonly spelling: string
  readonly input: Value
  readonly output: Value
  /** Negative; `undefined` where it cannot be told. */
  readonly axis: number | undefined
  /** Other axes normalised together with `axis` (Softmax before opset 13 flattens). */
  readonly alsoAxes: readonly number[]
  readonly sink: Sink
  /** What keeps it from being rewritten whatever it is used for. */
  readonly problem: Reason | undefined
  /** What is divided by the sum, where that comes after the product with values; the output then are the exponentials. */
  readonly context?: Value
}

/** The normaliser a node is the last node of. */
function normaliserAt(node: Node, facts: Facts): Normaliser | undefined {
  switch (node.op) {
    case 'Softmax':
      return softmaxNode(node, facts)
    case 'com.microsoft::BiasSoftmax':
    case 'com.microsoft::QLinearSoftmax':
      return lastAxisNode(node, facts, node.opType === 'BiasSoftmax' ? 'fused-operator' : 'quantized-softmax')
    case 'outeffhop::Softmax1':
      return internalNode(node, facts)
    case 'LogSoftmax':
      return logSoftmax(node, facts)
    case 'Div':
    case 'Mul':
    case 'Exp':
    case 'LpNormalization':
      return decomposedSoftmax(node, facts) ?? (node.op === 'Mul' ? gatedSoftmax(node, facts) : undefined)
    default:
      return undefined
  }
}

/** Normalisers of a graph in file order, nested graphs not included. */
export function normalisersIn(graph: Graph, facts: Facts): Normaliser[] {
  const found: Normaliser[] = []
  for (const node of graph.nodes()) {
    const normaliser = normaliserAt(node, facts)
    if (normaliser) found.push(normaliser)
  }
  const parts = new Set(found.flatMap((n) => n.nodes.filter((part) => part !== n.node)))
  return found.filter((n) => !parts.has(n.node))
}

/**
 * What a node may be one axis of, when it is an exponential that belongs to no softmax that is known: weights whose normalisation is
 * spelled in a way this program does not read. Most exponentials are none; only scores on one side and values on the other tell.
 */
export function suspectsAt(node: Node, facts: Facts): Normaliser[] {
  const value = exponentialAt(node, facts)?.exponent
  const axes = Array.from({ length: (value && facts.rank(value)) ?? 2 }, (_, i) => -1 - i)
  return axes.flatMap((axis) => {
    const found = value && plain(node, value, axis, 'exp')
    return found ? [{ ...found, problem: 'unknown-normalisation' as const }] : []
  })
}

const none: Sink = { kind: 'none' }

function plain(node: Node, input: Value, axis: number | undefined, spelling: string): Normaliser | undefined {
  const output = node.output()
  return output && { node, nodes: [node], spelling, input, output, axis, alsoAxes: [], sink: none, problem: undefined }
}

function softmaxNode(node: Node, facts: Facts): Normaliser | undefined {
  const value = node.input(0)
  if (!value) return undefined
  const { axis, alsoAxes } = softmaxAxes(node, value, facts)
  const shift = axis === undefined ? undefined : maximumShift(value, axis, facts)
  const found = plain(node, shift?.input ?? value, axis, 'softmax')
  const problem = hasForeignShift(shift?.input ?? value, axis, facts) ? 'unknown-shift' : undefined
  return found && { ...found, alsoAxes, nodes: [...(shift?.nodes ?? []), node], problem }
}

/** Before opset 13 the axes from `axis` on are flattened and `axis` defaults to 1; after it one axis counts, by default the last. */
function softmaxAxes(node: Node, value: Value, facts: Facts): { axis: number | undefined; alsoAxes: number[] } {
  const flattens = facts.opset(node) < 13
  const given = node.attributes.has('axis') ? facts.int(node, 'axis') : flattens ? 1 : -1
  const shape = facts.shape(value)
  if (given === undefined || (given >= 0 && !shape)) return { axis: undefined, alsoAxes: [] }
  const axis = given < 0 ? given : given - (shape as readonly unknown[]).length
  if (!flattens || !shape) return { axis, alsoAxes: [] }
  const axes = shape.map((_, i) => i - shape.length).filter((a) => a >= axis)
  const wide = axes.filter((a) => shape[shape.length + a] !== 1)
  return wide.length === 0 ? { axis, alsoAxes: [] } : { axis: wide[0] as number, alsoAxes: wide.slice(1) }
}

function lastAxisNode(node: Node, facts: Facts, problem: Reason): Normaliser | undefined {
  const value = node.input(0)
  const rank = value && facts.rank(value)
  const given = facts.int(node, 'axis') ?? -1
  const axis = given < 0 ? given : rank === undefined ? undefined : given - rank
  const found = value && plain(node, value, axis, node.op)
  return found && { ...found, problem }
}

function internalNode(node: Node, facts: Facts): Normaliser | undefined {
  const value = node.input(0)
  const given = facts.int(node, 'axis') ?? -1
  const rank = value && facts.rank(value)
  const axis = given < 0 ? given : rank === undefined ? undefined : given - rank
  const found = value && plain(node, value, axis, 'internal')
  return found && { ...found, sink: sinkOf(node.input(1), facts) }
}

function sinkOf(value: Value | undefined, facts: Facts): Sink {
  if (!value) return { kind: 'zero' }
  const numbers = facts.numbers(value)
  if (!numbers) return { kind: 'learned' }
  return numbers.every((s) => s === 0) ? { kind: 'zero' } : { kind: 'constant', value: numbers }
}

/** LogSoftmax under an Exp belongs to the Exp; any other use makes it a normaliser of its own. */
function logSoftmax(node: Node, facts: Facts): Normaliser | undefined {
  const value = node.input(0)
  const output = node.output()
  if (!value || !output) return undefined
  const uses = output.uses
  if (output.outputUses === 0 && uses.length > 0 && uses.every((u) => u.node.op === 'Exp')) return undefined
  const { axis, alsoAxes } = softmaxAxes(node, value, facts)
  const found = plain(node, value, axis, 'log-softmax')
  return found && { ...found, alsoAxes, problem: 'log-softmax' }
}

/** `softmax(x) * sigmoid(logsumexp(x))`: Softmax1 by another name. */
function gatedSoftmax(node: Node, facts: Facts): Normaliser | undefined {
  for (const port of [0, 1]) {
    const softmax = peel(node.input(port))?.producer
    if (softmax?.op !== 'Softmax') continue
    const inner = softmaxNode(softmax, facts)
    const gate = inner && sigmoidGate(node.input(1 - port), inner.input, inner.output, facts)
    const output = node.output()
    if (inner && gate && output)
      return {
        ...inner,
        node,
        nodes: [...inner.nodes, ...gate.nodes, node],
        spelling: 'softmax-times-sigmoid',
        output,
        sink: gate.sink,
      }
  }
  return undefined
}
