/**
 * Softmax1 by a zero key: softmax over the scores and one more score, the sink, whose value row is zero.
 *
 * softmax1(x; s) V = softmax([x, s]) [V; 0]
 *
 * Done in place along the walked path. With sink 0 the extra score is the product of the query with a zero row of K; any
 * other sink is written into the column of the last added mask, or appended to the scores when there is none.
 */
import type { Contraction, Site, Step } from '../../attention/index.ts'
import type { Node, Value } from '../../ir/index.ts'
import { attr, isFloat } from '../../ir/index.ts'
import type { Facts } from '../../ops/index.ts'
import { dtypeOf } from '../../ops/index.ts'
import { Ops } from '../ops.ts'
import { opsetOf } from '../opset.ts'
import type { Softmax1Sink } from '../softmax1-node.ts'
import { sinkOf, sinkValue } from '../softmax1-node.ts'
import type { Columns, KeyLength } from './column.ts'
import { oneHot, padColumn } from './column.ts'
import type { Extension, Phase } from './extend.ts'
import { applyExtension, extendStep } from './extend.ts'

export interface ZeroKeyPlan {
  /** Where the extra score comes from. */
  readonly column: 'key' | 'mask' | 'scores'
  /** Performs the rewrite and returns the Softmax node. */
  apply(): Node
}

interface Way {
  readonly steps: readonly { readonly step: Step; readonly extension: Extension }[]
  /** Shape nodes that read a value that grows. */
  readonly shapes: readonly { readonly node: Node; readonly axis: number }[]
}

/** A plan for a site whose normaliser is the internal Softmax1 node, or why the form cannot be used. */
export function planZeroKey(site: Site, facts: Facts, columns: Columns): ZeroKeyPlan | string {
  const { input, node } = site
  if (!input) return 'the scores are not in reach'
  const rank = facts.rank(input)
  if (rank === undefined) return 'the rank of the scores is not known'
  if (opsetOf(site.graph) < 13 && site.axis !== -1) return 'softmax before opset 13 takes the last axis only'
  const values = valueSide(site, facts)
  if (typeof values === 'string') return values
  const sink = sinkOf(node)
  const scores = scoreSide(site, facts)
  const column = typeof scores === 'string' ? 'scores' : columnFor(sink, scores.way)
  const refused = [...paddings(values.way), ...(typeof scores !== 'string' && column !== 'scores' ? paddings(scores.way) : [])]
    .map((value) => columns.objection(value, facts))
    .find((objection) => objection !== undefined)
  if (refused) return refused
  return { column, apply: () => apply(site, rank, sink, column, scores, values, facts, columns) }
}

interface Side {
  readonly contraction: Contraction
  readonly operand: Value
  readonly dtype: number
  readonly rank: number
  readonly way: Way
}

function valueSide(site: Site, facts: Facts): Side | string {
  const [contraction, ...more] = site.values
  if (!contraction) return 'no contraction with values was found'
  if (more.length > 0) return 'the probabilities are contracted with several values'
  const end = contraction.node.input(contraction.otherInput)
  const way = follow(site.output, end, site.valuePath, 'probabilities', site, facts)
  return typeof way === 'string' ? way : sideOf(contraction, way, facts)
}

function scoreSide(site: Site, facts: Facts): Side | string {
  const [contraction] = site.scores
  const start = contraction?.node.output()
  if (!contraction || !start) return 'no score contraction was found'
  const way = follow(start, site.input, site.scorePath, 'scores', site, facts)
  return typeof way === 'string' ? way : sideOf(contraction, way, facts)
}

/** Products whose operand can simply be given one more row. */
const growable = new Set(['MatMul', 'Einsum', 'com.microsoft::FusedMatMul'])

function sideOf(contraction: Contraction, way: Way, facts: Facts): Side | string {
  const { node, dataInput } = contraction
  const operand = node.input(dataInput)
  if (!operand || !growable.has(node.op)) return `${node.op} "${node.label}" cannot be given a zero row`
  const rank = facts.rank(operand)
  const dtype = dtypeOf(operand)
  if (rank === undefined || rank < 2) return `the rank of "${operand.name}" is not known`
  if (dtype === undefined || !isFloat(dtype)) return `"${operand.name}" is not known to be a float tensor`
  return { contraction, operand, dtype, rank, way }
}

/** Checks that a path leads from one value to another, that nothing else reads what grows, and that every step can grow. */
function follow(
  from: Value,
  to: Value | undefined,
  path: readonly Step[],
  phase: Phase,
  site: Site,
  facts: Facts,
): Way | string {
  const keys = facts.size(site.input as Value, site.axis)
  const steps: { step: Step; extension: Extension }[] = []
  const shapes: { node: Node; axis: number }[] = []
  let value: Value | undefined = from
  for (const step of path) {
    if (step.node.graph !== site.graph) return 'the way between scores and values leaves the graph of the softmax'
    if (!value || step.node.input(step.input) !== value) return 'the way between scores and values is not certain'
    const problem = checkReaders(value, step, step.axisIn, shapes)
    if (problem) return problem
    const extension = extendStep(step, phase, facts, keys)
    if (typeof extension === 'string') return extension
    steps.push({ step, extension })
    value = step.node.output(step.output)
  }
  if (!value || value !== to) return 'the way between scores and values is not certain'
  const last = phase === 'scores' ? site.node : site.values[0]?.node
  const problem = checkReaders(value, { node: last as Node }, phase === 'scores' ? site.axis : lastAxis(path, site), shapes)
  return problem ?? { steps, shapes }
}

function lastAxis(path: readonly Step[], site: Site): number {
  return path.at(-1)?.axisOut ?? site.axis
}

/** A value that grows may be read by the next step, by a NaN guard of that step, and by Shape. */
function checkReaders(
  value: Value,
  next: { readonly node: Node },
  axis: number,
  shapes: { node: Node; axis: number }[],
): string | undefined {
  if (value.outputUses > 0) return `"${value.name}" is a graph output`
  for (const { node } of value.uses) {
    if (node === next.node) continue
    if (node.op === 'IsNaN' && node.output()?.consumers.every((reader) => reader === next.node)) continue
    const plain = node.op === 'Shape' && !node.attributes.has('start') && !node.attributes.has('end')
    if (!plain) return `${node.op} "${node.label}" reads "${value.name}" too`
    shapes.push({ node, axis })
  }
  return undefined
}

function paddings(way: Way): Value[] {
  return way.steps.flatMap(({ step, extension }) => extension.padded.map(([input]) => step.node.input(input) as Value))
}

const keepsAnySink = new Set(['Transpose', 'Reshape', 'Unsqueeze', 'Squeeze', 'Cast', 'Identity', 'Dropout', 'Where'])

/** The last added mask that nothing but layout and selection follows. */
function lastMask(way: Way): number {
  for (let i = way.steps.length - 1; i >= 0; i--) {
    const { node } = (way.steps[i] as Way['steps'][number]).step
    if (node.opType === 'Add') return i
    if (!keepsAnySink.has(node.opType)) return -1
  }
  return -1
}

function columnFor(sink: Softmax1Sink, way: Way): ZeroKeyPlan['column'] {
  if (!sink.heads && sink.values[0] === 0) return 'key'
  return !sink.heads && lastMask(way) >= 0 ? 'mask' : 'scores'
}

function apply(
  site: Site,
  rank: number,
  sink: Softmax1Sink,
  column: ZeroKeyPlan['column'],
  scores: Side | string,
  values: Side,
  facts: Facts,
  columns: Columns,
): Node {
  const { node, graph, axis } = site
  const x = site.input as Value
  const opset = opsetOf(graph)
  const at = (before: Node): Ops => new Ops({ graph, before, name: before.name || (before.output()?.name ?? ''), opset })
  const size = facts.size(x, axis)
  const length = { symbol: graph.freeName(`${site.output.name}/keys`) }
  let input = x
  if (column !== 'scores' && typeof scores !== 'string') {
    const keys = lengthOf(scores.operand, scores.contraction.axis, size)
    if (column === 'mask') setSink(scores.way, sink.values[0] as number)
    grow(scores, keys, columns, facts, at, length.symbol)
    lengthen(scores.contraction.node.output(), contractionAxis(scores, site))
  } else input = withColumn(x, rank, axis, sink, dtypeOf(x) ?? values.dtype, at(node))
  grow(values, lengthOf(x, axis, size, column !== 'scores'), columns, facts, at, length.symbol)
  lengthen(site.output, axis)
  const { output } = site
  node.setOutput(0, undefined)
  const positive = opset < 13 ? rank - 1 : axis
  const softmax = graph.insert(
    { name: node.name, opType: 'Softmax', attributes: new Map([['axis', attr.int(positive)]]), docString: node.docString, metadata: node.metadata },
    [input],
    [output],
    node,
  )
  const sinkInput = node.input(1)
  graph.remove(node)
  if (sinkInput && !sinkInput.isUsed) sinkInput.graph.removeValue(sinkInput)
  return softmax
}

function contractionAxis(scores: Side, site: Site): number {
  return scores.way.steps[0]?.step.axisIn ?? site.axis
}

/** The sink is added by the last mask: its new column holds it. */
function setSink(way: Way, sink: number): void {
  const { extension } = way.steps[lastMask(way)] as Way['steps'][number]
  const padded = extension.padded as (readonly [number, number])[]
  const [first] = padded
  if (first) padded[0] = [first[0], sink]
}

/** The number of keys, before or after they grew, read off the shape of a value. */
function lengthOf(value: Value, axis: number, size: number | string | undefined, grown = false): KeyLength {
  return {
    size,
    value(ops) {
      const end = axis === -1 ? Number.MAX_SAFE_INTEGER : axis + 1
      const length = ops.Slice(ops.Shape(value), [axis], [end], [0])
      return grown ? ops.Sub(length, ops.ints([1])) : length
    },
  }
}

function grow(side: Side, keys: KeyLength, columns: Columns, facts: Facts, at: (node: Node) => Ops, symbol: string): void {
  const { contraction, operand, rank, dtype, way } = side
  for (const { node, axis } of way.shapes) shrink(node, axis, facts, at)
  for (const { step, extension } of way.steps) {
    applyExtension(step, extension, keys, columns, facts, at(step.node))
    lengthen(step.node.output(step.output), step.axisOut)
  }
  const padded = padColumn(operand, rank, contraction.axis, 0, dtype, at(contraction.node))
  // One name for the length of K and V lets the runtime see that score tensors of all layers are of one size and reuse them.
  const shape = Array.from({ length: rank }, (_, i) => (i === rank + contraction.axis ? symbol : operand.shape?.[i]))
  padded.type = { kind: 'tensor', dtype, shape }
  contraction.node.setInput(contraction.dataInput, padded)
}

/** A Shape that other nodes rely on goes on giving the length without the sink. */
function shrink(node: Node, axis: number, facts: Facts, at: (node: Node) => Ops): void {
  const shape = node.output()
  const rank = node.input(0) && facts.rank(node.input(0) as Value)
  if (!shape || rank === undefined || !node.next) return
  const ops = at(node.next)
  const readers = shape.uses
  const less = ops.Sub(shape, oneHot(rank, axis, ops))
  for (const { node: reader, index } of readers) reader.setInput(index, less)
}

/** A declared length of the key axis no longer holds. */
function lengthen(value: Value | undefined, axis: number): void {
  const type = value?.type
  if (!value || type?.kind !== 'tensor' || !type.shape) return
  const at = type.shape.length + axis
  const shape = type.shape.map((dim, i) => (i !== at ? dim : typeof dim === 'number' ? dim + 1 : undefined))
  value.type = { ...type, shape }
}

/** Scores with the sink appended. */
function withColumn(x: Value, rank: number, axis: number, sink: Softmax1Sink, dtype: number, ops: Ops): Value {
  if (!sink.heads) return padColumn(x, rank, axis, sink.values[0] as number, dtype, ops)
  const ones = oneHot(rank, axis, ops)
  const others = ops.ints(Array.from({ length: rank }, (_, i) => (i === rank + axis ? 0 : 1)))
  const shape = ops.Add(ops.Mul(ops.Shape(x), others), ones)
  return ops.Concat([x, ops.Expand(sinkValue(ops, sink, x, dtype), shape)], ops.place.opset < 11 ? rank + axis : axis)
}

export const zeroKeyReasons = {
  key: 'a zero row of the keys gives the extra score',
  mask: 'the mask carries the sink in one more column',
  scores: 'the sink is appended to the scores',
} as const

