/**
 * Following one axis through a graph: back from a softmax to the contraction that made its scores, and forward from its
 * probabilities to the contraction with values.
 *
 * A walk enters and leaves model-local functions (a {@link Frame} is the call it is in), leaves If branches through the
 * outputs of the If, and stops at loop-carried values. It looks at each (value, axis) once, so it is linear in the graph.
 */
import type { Graph, ModelFunction, Node, Value } from '../ir/index.ts'
import type { Facts, LabelledProduct, Operand } from '../ops/index.ts'
import { axisOf, contractedLabels, labelAt, labelledProduct, recordOf, reducedAxes } from '../ops/index.ts'
import type { Cursor, Frame } from './cursor.ts'
import { carryMixed, follow, frameName, jump } from './cursor.ts'

/** A contraction that was reached: which operand owns the followed axis. */
export interface Reached {
  readonly product: LabelledProduct
  readonly own: Operand
  readonly other: Operand
  /** Negative axis of `own` that is the key axis. */
  readonly axis: number
  readonly cursor: Cursor
}

/** Where a walk ended without a contraction. */
export interface Stop {
  readonly cursor: Cursor
  readonly why: 'operator' | 'loop-carried' | 'axis-lost' | 'input' | 'initializer'
  readonly node: Node | undefined
}

export interface WalkResult {
  readonly reached: readonly Reached[]
  readonly stops: readonly Stop[]
}

/** Indexes a walk needs about one model. */
export interface Wiring {
  readonly facts: Facts
  /** Graphs that name a value as an output, with the index. */
  readonly outputsOf: ReadonlyMap<Value, readonly { graph: Graph; index: number }[]>
  /** The calls a function is reached by, as far as they were looked up. */
  readonly contexts: Map<ModelFunction, readonly (Frame | undefined)[]>
}

const mostMixings = 1

/** Score contractions behind an axis of a value: the axis is a free axis of exactly one operand. */
export function walkBack(start: Cursor, wiring: Wiring): WalkResult {
  return search(start, (cursor, result) => stepBack(cursor, wiring, result))
}

/** Value contractions that sum over an axis of a value. */
export function walkForward(start: Cursor, wiring: Wiring): WalkResult {
  return search(start, (cursor, result) => stepForward(cursor, wiring, result))
}

interface Result {
  readonly reached: Reached[]
  readonly stops: Stop[]
}

/** Breadth first, so that the contraction next to the softmax comes first. */
function search(start: Cursor, advance: (cursor: Cursor, result: Result) => Cursor[]): WalkResult {
  const result: Result = { reached: [], stops: [] }
  const seen = new Map<Value, Set<string>>()
  const queue = [start]
  for (let i = 0; i < queue.length; i++) {
    const cursor = queue[i] as Cursor
    const key = `${cursor.axis}/${cursor.mixed.join()}/${cursor.mixings}/${frameName(cursor.frame)}`
    const axes = seen.get(cursor.value) ?? new Set()
    seen.set(cursor.value, axes)
    if (axes.has(key)) continue
    axes.add(key)
    queue.push(...advance(cursor, result))
  }
  return result
}

function stepBack(cursor: Cursor, wiring: Wiring, result: Result): Cursor[] {
  const { facts } = wiring
  const { value, axis, frame } = cursor
  const node = value.producer
  const stop = (why: Stop['why']): Cursor[] => {
    result.stops.push({ cursor, why, node })
    return []
  }
  if (!node) return leaveBack(cursor, stop)
  const output = node.outputs.indexOf(value)
  const callee = facts.callee(node)
  if (callee) {
    const inner = callee.body.outputs[output]
    return inner ? [jump(cursor, inner, { call: node, parent: frame })] : stop('operator')
  }
  if (node.op === 'If') {
    const ends = node.subgraphs.map((g) => g.outputs[output]).filter((v) => v !== undefined)
    return ends.map((end) => jump(cursor, end, frame))
  }
  const product = labelledProduct(node, facts)
  if (product) return meetScores(cursor, product, wiring, result, stop)
  if (isConvolution(node)) return mixThroughChannels(cursor, node, facts) ?? stop('operator')
  const record = recordOf(node)
  if (!record?.axes || !mayCarryScores(record.passage)) return stop('operator')
  const summed = isReduction(node) ? (reducedAxes(node, facts) ?? []) : []
  if (summed.length > 0 && cursor.mixings >= mostMixings) return stop('operator')
  const rule = record.axes
  const next = rule.back(node, output, axis, facts).flatMap((at) => {
    const input = node.input(at.port)
    const mixed = carryMixed(cursor, (a) =>
      (rule.origins?.(node, a, facts) ?? rule.back(node, output, a, facts))
        .filter((b) => b.port === at.port)
        .map((b) => b.axis),
    )
    if (!input || !mixed) return []
    const step = { node, input: at.port, output, axisIn: at.axis, axisOut: axis }
    const mixings = cursor.mixings + (summed.length > 0 ? 1 : 0)
    return [follow(cursor, input, step, at.axis, { mixed: [...mixed, ...summed], mixings, exact: at.exact })]
  })
  return next.length > 0 ? next : stop(record.passage === 'layout' ? 'axis-lost' : 'operator')
}

function leaveBack(cursor: Cursor, stop: (why: Stop['why']) => Cursor[]): Cursor[] {
  const { value, frame } = cursor
  if (value.initializer) return stop('initializer')
  const owner = value.graph.owner
  if (frame && owner && 'body' in owner) {
    const actual = frame.call.input(owner.body.inputs.indexOf(value))
    return actual ? [jump(cursor, actual, frame.parent)] : stop('input')
  }
  return stop(value.graph.parent ? 'loop-carried' : 'input')
}

function stepForward(cursor: Cursor, wiring: Wiring, result: Result): Cursor[] {
  const { facts } = wiring
  const next: Cursor[] = []
  for (const { node, index } of cursor.value.uses) {
    const callee = facts.callee(node)
    if (callee) {
      const formal = callee.body.inputs[index]
      if (formal) next.push(jump(cursor, formal, { call: node, parent: cursor.frame }))
      continue
    }
    const inProduct = productsOver(node, index, cursor, facts)
    for (const { product, operand } of inProduct) {
      const met = meetValues(cursor, product, operand, facts, result)
      if (met) next.push(met)
    }
    if (labelledProduct(node, facts) && node.op !== 'ReduceSum') continue
    next.push(...passForward(cursor, node, index, facts, result))
  }
  next.push(...leaveForward(cursor, wiring))
  return next
}

/** Products an input takes part in: the node's own, or that of a ReduceSum over this Mul. */
function productsOver(
  node: Node,
  index: number,
  cursor: Cursor,
  facts: Facts,
): { product: LabelledProduct; operand: Operand }[] {
  const sums =
    node.op === 'Mul' ? (node.output()?.uses ?? []).filter((u) => u.node.op === 'ReduceSum').map((u) => u.node) : []
  return [...(node.op === 'ReduceSum' ? [] : [node]), ...sums].flatMap((n) => {
    const product = labelledProduct(n, facts)
    const operand = product?.operands.find((o) => o.node === node && o.port === index && o.value === cursor.value)
    return product && operand ? [{ product, operand }] : []
  })
}

function passForward(cursor: Cursor, node: Node, index: number, facts: Facts, result: Result): Cursor[] {
  const record = recordOf(node)
  if (isConvolution(node) && index === 0 && cursor.axis > 1 - (facts.rank(cursor.value) ?? 0)) {
    const output = node.output()
    if (!output || cursor.mixings >= mostMixings) return []
    const step = { node, input: 0, output: 0, axisIn: cursor.axis, axisOut: cursor.axis }
    return [follow(cursor, output, step, cursor.axis, { mixings: cursor.mixings + 1, exact: false })]
  }
  if (!record?.axes || !mayCarryProbabilities(record.passage)) {
    result.stops.push({ cursor, why: 'operator', node })
    return []
  }
  return record.axes.forward(node, index, cursor.axis, facts).flatMap((at) => {
    const output = node.output(at.port)
    if (!output) return []
    const step = { node, input: index, output: at.port, axisIn: cursor.axis, axisOut: at.axis }
    return [follow(cursor, output, step, at.axis, { exact: at.exact })]
  })
}

function leaveForward(cursor: Cursor, wiring: Wiring): Cursor[] {
  return (wiring.outputsOf.get(cursor.value) ?? []).flatMap(({ graph, index }) => {
    const owner = graph.owner
    if (!owner) return []
    if ('body' in owner) {
      const outer = cursor.frame?.call.output(index)
      return outer ? [jump(cursor, outer, cursor.frame?.parent)] : []
    }
    if (!('opType' in owner) || owner.op !== 'If') return []
    const outer = owner.output(index)
    return outer ? [jump(cursor, outer, cursor.frame)] : []
  })
}

/** A product behind the scores: the score contraction itself, a constant mixing to look through, or a plain product. */
function meetScores(
  cursor: Cursor,
  product: LabelledProduct,
  wiring: Wiring,
  result: Result,
  stop: (why: Stop['why']) => Cursor[],
): Cursor[] {
  const { facts } = wiring
  const label = labelAt(product.output, cursor.axis)
  if (label === undefined) return stop('axis-lost')
  const owners = product.operands.filter((o) => o.labels.includes(label))
  const summed = contractedLabels(product)
  const through = (own: Operand, extra: readonly string[]): Cursor[] => {
    const mixed = carryMixed(cursor, (axis) => {
      const l = labelAt(product.output, axis)
      const inner = l === undefined ? undefined : axisOf(own.labels, l)
      return inner === undefined ? [] : [inner]
    })
    const axis = axisOf(own.labels, label)
    if (!mixed || axis === undefined) return []
    const added = extra.map((l) => axisOf(own.labels, l)).filter((a) => a !== undefined)
    const step = { node: own.node, input: own.port, output: 0, axisIn: axis, axisOut: cursor.axis }
    const mixings = cursor.mixings + (extra.length > 0 ? 1 : 0)
    const exact = own.node === product.node
    return [follow(cursor, own.value, step, axis, { mixed: [...mixed, ...added], mixings, exact })]
  }
  // Einsum as a broadcast product: nothing is summed.
  if (summed.length === 0) return owners.flatMap((own) => through(own, []))
  const [own] = owners
  if (owners.length !== 1 || !own) return stop('operator')
  const other = product.operands.find((o) => o !== own && summed.some((l) => o.labels.includes(l)))
  if (!other) return cursor.mixings < mostMixings ? through(own, summed) : stop('operator')
  const ownAxis = axisOf(own.labels, label) as number
  const isScore = mixesBatchOnly(cursor, product, own, other)
  if (isScore) result.reached.push({ product, own, other, axis: ownAxis, cursor })
  const constantMix = facts.isConstant(other.value) && cursor.mixings < mostMixings
  return constantMix
    ? through(
        own,
        summed.filter((l) => own.labels.includes(l)),
      )
    : []
}

/** Mixed axes must be batch axes: in both operands and in the product. */
function mixesBatchOnly(cursor: Cursor, product: LabelledProduct, own: Operand, other: Operand): boolean {
  return cursor.mixed.every((axis) => {
    const label = labelAt(product.output, axis)
    return label !== undefined && own.labels.includes(label) && other.labels.includes(label)
  })
}

/** A product of probabilities: with values when it sums over the axis, a mixing to pass when its other operand is constant. */
function meetValues(
  cursor: Cursor,
  product: LabelledProduct,
  own: Operand,
  facts: Facts,
  result: Result,
): Cursor | undefined {
  const label = labelAt(own.labels, cursor.axis)
  if (label === undefined) return undefined
  const axis = axisOf(product.output, label)
  const others = product.operands.filter((o) => o !== own)
  if (axis === undefined) {
    const other = others.find((o) => o.labels.includes(label))
    if (!other) return undefined
    result.reached.push({ product, own: other, other: own, axis: axisOf(other.labels, label) as number, cursor })
    return undefined
  }
  const output = product.node.output()
  const plain = contractedLabels(product).length === 0
  if (!output || own.node !== product.node) return undefined
  if (!plain && (cursor.mixings >= mostMixings || !others.every((o) => facts.isConstant(o.value)))) return undefined
  const step = { node: product.node, input: own.port, output: 0, axisIn: cursor.axis, axisOut: axis }
  return follow(cursor, output, step, axis, { mixings: cursor.mixings + (plain ? 0 : 1) })
}

/** A convolution over maps of scores mixes their channels (heads): its channel axis is one more mixed axis. */
function mixThroughChannels(cursor: Cursor, node: Node, facts: Facts): Cursor[] | undefined {
  const input = node.input(0)
  const rank = input && facts.rank(input)
  if (!input || rank === undefined || cursor.axis <= 1 - rank || cursor.mixings >= mostMixings) return undefined
  const step = { node, input: 0, output: 0, axisIn: cursor.axis, axisOut: cursor.axis }
  return [follow(cursor, input, step, cursor.axis, { mixed: [1 - rank], mixings: cursor.mixings + 1, exact: false })]
}

function isConvolution(node: Node): boolean {
  return node.opType === 'Conv' || node.opType === 'FusedConv'
}

function isReduction(node: Node): boolean {
  return node.opType === 'ReduceSum' || node.opType === 'ReduceMean'
}

function mayCarryScores(passage: string | undefined): boolean {
  return passage === 'layout' || passage === 'arithmetic'
}

function mayCarryProbabilities(passage: string | undefined): boolean {
  return passage === 'layout' || passage === 'arithmetic' || passage === 'normalise'
}
