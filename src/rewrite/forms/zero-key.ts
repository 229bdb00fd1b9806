/**
 * Softmax1 by a zero key: softmax over the scores and one more score, the sink, whose value row is zero.
 *
 * softmax1(x; s) V = softmax([x, s]) [V; 0]
 *
 * Done in place, wherever the scores come from and the probabilities go. With sink 0 the extra score is the product of the
 * query with a zero row of K. Any other sink is carried by the column of a mask, or appended to the scores.
 */
import type { Contraction, Site } from '../../attention/index.ts'
import type { Node, Value } from '../../ir/index.ts'
import { attr } from '../../ir/index.ts'
import { axisOf, dtypeOf, labelAt, labelledProduct } from '../../ops/index.ts'
import { Ops } from '../ops.ts'
import { opsetOf } from '../opset.ts'
import { sinkOf } from '../softmax1-node.ts'
import type { Columns } from './column.ts'
import { grownDim, joinSink } from './column.ts'
import type { Grown, Growth, GrowthRequest } from './growth.ts'
import { planGrowth, rowObjection } from './growth.ts'
import { describe } from './rules.ts'

export interface ZeroKeyPlan {
  /** Where the extra score comes from, in words. */
  readonly reason: string
  /** Performs the rewrite and returns the Softmax node. */
  apply(): Node
}

/** A plan for a site whose normaliser is the internal Softmax1 node, or why the form cannot be used. */
export function planZeroKey(site: Site, columns: Columns): ZeroKeyPlan | string {
  const { input, node, axis } = site
  const rank = input && columns.facts.rank(input)
  if (!input || rank === undefined) return 'the rank of the scores is not known'
  if (opsetOf(site.graph) < 8) return 'Expand exists from opset 8 on'
  if (opsetOf(site.graph) < 13 && axis !== -1) return 'softmax before opset 13 takes the last axis only'
  const sink = sinkOf(node)
  const request = { normaliser: { node, axis, sink }, columns }
  const refusals: string[] = []
  for (const contraction of site.scores) {
    const way = throughKeys(contraction, site, request)
    if (typeof way !== 'string') return { reason: way.reason, apply: () => apply(site, rank, request, way) }
    refusals.push(way)
  }
  const growth = planGrowth({ value: site.output, axis, content: undefined }, request)
  if (typeof growth === 'string') return growth
  const why = refusals[0] === undefined ? '' : `, because ${refusals[0]}`
  return {
    reason: `the sink is appended to the scores${why}`,
    apply: () => apply(site, rank, request, { contraction: undefined, growth }),
  }
}

interface Way {
  /** Where the keys get a zero row; undefined where the sink is appended to the scores. */
  readonly contraction: Contraction | undefined
  readonly growth: Growth
}

function throughKeys(
  contraction: Contraction,
  site: Site,
  request: GrowthRequest,
): (Way & { readonly reason: string }) | string {
  const start = scoreOf(contraction, site, request)
  if (typeof start === 'string') return start
  const { normaliser } = request
  const zero = { ...request, normaliser: { ...normaliser, sink: { values: [0], heads: undefined } } }
  const plain = planGrowth(start, zero)
  if (typeof plain === 'string') return plain
  if (plain.copy) return `"${plain.copy.name}" is as large as the scores and padded for them alone`
  const isZero = normaliser.sink.values.every((s) => s === 0)
  if (isZero) return { contraction, growth: plain, reason: 'a zero row of the keys gives the extra score' }
  for (const carrier of plain.carriers.toReversed()) {
    const growth = planGrowth(start, { ...request, carrier })
    if (typeof growth !== 'string' && !growth.copy)
      return { contraction, growth, reason: `${describe(carrier)} carries the sink in one more column` }
  }
  return 'no mask carries the sink'
}

/** The scores of a contraction as the keys get a zero row: one more element, 0. */
function scoreOf(
  { node, dataInput, axis }: Contraction,
  site: Site,
  request: GrowthRequest,
): Omit<Grown, 'size'> | string {
  const { facts } = request.columns
  if (node.graph !== site.graph) return `${describe(node)} is in another graph`
  const objection = rowObjection(node, dataInput, facts)
  if (objection !== undefined) return objection
  if (node.op === 'Gemm' && node.input(2)) return `${describe(node)} adds a bias`
  const value = node.output() as Value
  if (node.op === 'Mul') return { value, axis, content: [0] }
  const product = labelledProduct(node, facts)
  const label = product && labelAt(product.operands.find((o) => o.port === dataInput)?.labels ?? [], axis)
  const at = label === undefined ? undefined : axisOf(product?.output ?? [], label)
  return at === undefined ? `the keys are lost in ${describe(node)}` : { value, axis: at, content: [0] }
}

function apply(site: Site, rank: number, request: GrowthRequest, { contraction, growth }: Way): Node {
  const { graph, node, axis, output } = site
  const { columns, normaliser } = request
  const input = site.input as Value
  const opset = opsetOf(graph)
  const at = (before: Node): Ops =>
    new Ops({ graph, before, name: before.name || (before.output()?.name ?? ''), opset })
  if (contraction) addZeroKey(contraction, columns, at(contraction.node))
  for (const { node: place, edit } of growth.edits) edit(at(place), columns)
  for (const grown of growth.grown) declare(grown)
  const scores = contraction
    ? input
    : joinSink(input, rank, axis, normaliser.sink, dtypeOf(input), columns.edge, at(node))
  return replaceBySoftmax(node, scores, output, opset < 13 ? rank - 1 : axis)
}

function replaceBySoftmax(node: Node, scores: Value, output: Value, axis: number): Node {
  const { graph, name, docString, metadata } = node
  const sink = node.input(1)
  node.setOutput(0, undefined)
  const softmax = graph.insert(
    { name, opType: 'Softmax', attributes: new Map([['axis', attr.int(axis)]]), docString, metadata },
    [scores],
    [output],
    node,
  )
  graph.remove(node)
  if (sink && !sink.isUsed) sink.graph.removeValue(sink)
  return softmax
}

function addZeroKey({ node, dataInput, axis }: Contraction, columns: Columns, ops: Ops): void {
  const value = node.input(dataInput) as Value
  const keys = { value, axis, size: columns.facts.size(value, axis) }
  node.setInput(dataInput, columns.with(value, axis, 0, 'spans', keys, ops))
}

/** A declared length of the key axis no longer holds. */
function declare({ value, axis, size }: Grown): void {
  const { type } = value
  if (type?.kind !== 'tensor' || !type.shape) return
  const old = type.shape.at(axis)
  const dim = typeof old === 'number' ? old + 1 : size === undefined ? undefined : grownDim(size)
  value.type = { ...type, shape: type.shape.with(axis, dim) }
}
