/**
 * Growing the key axis: what has to change so that a value can have one more element at one end of an axis, everywhere from
 * where it enters to the products with values, where a zero row of the values drops it again.
 *
 * Scores -> softmax -> weights -> values. On the scores the element must hold the sink; behind the softmax it may hold
 * anything finite. Every reader of a value that grows must be able to take it, or the growth is refused with a reason.
 */
import type { Graph, Node, Value } from '../../ir/index.ts'
import type { Facts, LabelledProduct, Operand, Size } from '../../ops/index.ts'
import { axisOf, labelAt, labelledProduct, recordOf } from '../../ops/index.ts'
import { Ops } from '../ops.ts'
import type { Softmax1Sink } from '../softmax1-node.ts'
import type { Columns } from './column.ts'
import { oneHot } from './column.ts'
import type { Content, Edit, Passage } from './rules.ts'
import { describe, passageThrough } from './rules.ts'

/** A value with the element at one end of a negative axis. */
export interface Grown {
  readonly value: Value
  readonly axis: number
  readonly content: Content
  /** Number of keys before. */
  readonly size: Size | undefined
}

/** The normaliser the element passes: on `axis`, where it must hold the sink. */
export interface Normaliser {
  readonly node: Node
  readonly axis: number
  readonly sink: Softmax1Sink
}

export interface GrowthRequest {
  readonly normaliser: Normaliser
  readonly columns: Columns
  /** The node on the way of the scores that shall give the element the sink. */
  readonly carrier?: Node | undefined
}

export interface Growth {
  readonly grown: readonly Grown[]
  readonly edits: readonly { readonly node: Node; readonly edit: Edit }[]
  /** Additions and selections on the way of the scores, in order: what could carry a sink. */
  readonly carriers: readonly Node[]
  /** An operand of the size of the scores that is padded for them alone. */
  readonly copy: Value | undefined
}

/** The growth from one value on, or why it cannot be. */
export function planGrowth(start: Omit<Grown, 'size'>, request: GrowthRequest): Growth | string {
  return new Plan(start.value.graph, request).from(start)
}

/** Products whose other operand can simply be given a zero row. */
const growable = new Set(['MatMul', 'Gemm', 'Einsum', 'com.microsoft::FusedMatMul', 'com.microsoft::TransposeMatMul'])

/** Why an operand of a product cannot be given a zero row. */
export function rowObjection(node: Node, port: number, facts: Facts): string | undefined {
  const operand = node.input(port)
  if (!operand || !(growable.has(node.op) || node.op === 'Mul')) return `${describe(node)} cannot be given a zero row`
  if (operand.producer?.opType === 'DequantizeLinear')
    return `"${operand.name}" is quantized, and padding it would undo that`
  return facts.rank(operand) === undefined ? `the rank of "${operand.name}" is not known` : undefined
}

const keepsAxes = new Set(['Cast', 'CastLike', 'Identity', 'Dropout'])

function movesAxes(node: Node): boolean {
  return recordOf(node)?.passage === 'layout' && !keepsAxes.has(node.op)
}

const carrying = new Set(['Add', 'Sum', 'Sub', 'Where'])

/** Why a growth cannot be; undefined where nothing stands against it. */
type Refusal = string | undefined

class Plan {
  readonly #graph: Graph
  readonly #request: GrowthRequest
  readonly #grown = new Map<Value, Grown>()
  readonly #edits: { node: Node; edit: Edit }[] = []
  readonly #carriers: Node[] = []
  readonly #open = new Set<Node>()
  /** Values on the way of the scores; the normaliser ends it. */
  readonly #scores = new Set<Value>()
  #copy: Value | undefined
  /** Whether the element holds a sink for every head, so that heads must stay where they are. */
  #perHead = false
  /** The first node behind which the element does not hold a known number. */
  #lost: Node | undefined

  constructor(graph: Graph, request: GrowthRequest) {
    this.#graph = graph
    this.#request = request
  }

  from({ value, axis, content }: Omit<Grown, 'size'>): Growth | string {
    let refusal = this.#grow(this.#at(value, axis, content), value !== this.#request.normaliser.node.output())
    while (refusal === undefined && this.#open.size > 0) refusal = this.#pass(this.#next())
    if (refusal !== undefined) return refusal
    return { grown: [...this.#grown.values()], edits: this.#edits, carriers: this.#carriers, copy: this.#copy }
  }

  /** The first open node in the order of the graph: all it reads has grown by then. */
  #next(): Node {
    const [one, ...others] = this.#open as Set<Node>
    let found = one as Node
    const missing = new Set(others)
    let { previous, next } = found
    while (missing.size > 0 && (previous || next)) {
      if (previous && missing.delete(previous)) found = previous
      if (next) missing.delete(next)
      previous = previous?.previous
      next = next?.next
    }
    this.#open.delete(found)
    return found
  }

  #grow(grown: Grown, isScore: boolean): Refusal {
    const { value } = grown
    if (value.outputUses > 0) return `"${value.name}" is a graph output`
    this.#grown.set(value, grown)
    if (isScore) this.#scores.add(value)
    for (const { node } of value.uses) {
      if (node.graph !== this.#graph) return `"${value.name}" is read in a nested graph`
      this.#open.add(node)
    }
    return undefined
  }

  #pass(node: Node): Refusal {
    const { columns, normaliser } = this.#request
    const inputs = new Map<number, Grown>()
    for (const [port, value] of node.inputs.entries()) {
      const grown = value && this.#grown.get(value)
      if (grown) inputs.set(port, grown)
    }
    const [[port, grown] = []] = inputs
    if (port === undefined || !grown) return undefined
    if (node === normaliser.node) return this.#normalise(node, port, grown)
    if (node.op === 'Shape') return this.#measure(node, grown.axis)
    const product = node.op === 'ReduceSum' ? undefined : labelledProduct(node, columns.facts)
    if (product)
      return inputs.size > 1
        ? `${describe(node)} multiplies what grows by itself`
        : this.#multiply(product, port, grown)
    if ([...inputs.values()].some((input) => input.axis !== grown.axis)) return `${describe(node)} mixes axes that grow`
    return this.#walk(node, port, inputs)
  }

  #at(value: Value, axis: number, content: Content): Grown {
    return { value, axis, content, size: this.#request.columns.facts.size(value, axis) }
  }

  #isScore(grown: Grown): boolean {
    return this.#scores.has(grown.value)
  }

  #walk(node: Node, port: number, inputs: ReadonlyMap<number, Grown>): Refusal {
    const { columns, carrier, normaliser } = this.#request
    const { axis, content, size: keys } = inputs.get(port) as Grown
    const exact = [...inputs.values()].some((grown) => this.#isScore(grown))
    const sink = node === carrier ? normaliser.sink : undefined
    const passage = passageThrough({ node, grown: inputs, port, axis, content, exact, sink, keys, columns })
    if (typeof passage === 'string') return passage
    if (exact && this.#perHead && movesAxes(node)) return `${describe(node)} moves heads behind their sinks`
    this.#perHead ||= sink?.heads !== undefined
    if (exact && carrying.has(node.op)) this.#carriers.push(node)
    if (exact) this.#copy ??= passage.copy
    return this.#follow(node, inputs.get(port) as Grown, passage, exact)
  }

  #follow(node: Node, from: Grown, { outputs, content, edits }: Passage, isScore: boolean): Refusal {
    if (isScore && content === undefined) this.#lost ??= node
    for (const edit of edits) this.#edits.push({ node, edit })
    for (const { port, axis } of outputs) {
      const value = node.output(port)
      if (!value?.isUsed) continue
      const refusal = this.#grow({ value, axis, content, size: this.#sizeBehind(node, from, value, axis) }, isScore)
      if (refusal !== undefined) return refusal
    }
    return undefined
  }

  /** The number of keys is that of the keys themselves, whatever name a mask that is repeated along them brings in. */
  #sizeBehind(node: Node, from: Grown, value: Value, axis: number): Size | undefined {
    const { facts } = this.#request.columns
    const size = facts.size(value, axis)
    if (typeof size === 'number') return size
    return movesAxes(node) && size !== facts.size(from.value, from.axis) ? size : from.size
  }

  #measure(node: Node, axis: number): Refusal {
    const edit = shorterShape(node, axis, this.#request.columns.facts)
    if (typeof edit === 'string') return edit
    if (edit) this.#edits.push({ node, edit })
    return undefined
  }

  #normalise(node: Node, port: number, grown: Grown): Refusal {
    const { axis, sink } = this.#request.normaliser
    if (port !== 0 || grown.axis !== axis) return `${describe(node)} normalises another axis than the keys`
    const { content } = grown
    const holds = content !== undefined && sink.values.every((s, i) => s === content[content.length === 1 ? 0 : i])
    if (!holds) return this.#lost ? `${describe(this.#lost)} moves the score of a zero key` : 'nothing carries the sink'
    return this.#grow({ ...grown, value: node.output() as Value, content: undefined }, false)
  }

  /** A product with values, whose other operand gets a zero row, or a mixing of heads, which the element passes. */
  #multiply(product: LabelledProduct, port: number, grown: Grown): Refusal {
    const { node, operands, output } = product
    const own = operands.find((o) => o.node === node && o.port === port)
    const label = own && labelAt(own.labels, grown.axis)
    if (label === undefined || !growable.has(node.op)) return `${describe(node)} reads what grows`
    const sharing = operands.filter((o) => o !== own && o.labels.includes(label))
    const axis = axisOf(output, label)
    if (axis === undefined) {
      const [values, ...more] = sharing
      if (this.#isScore(grown) || !values || more.length > 0) return `${describe(node)} sums over scores`
      return this.#addRow(values, axisOf(values.labels, label) as number, grown)
    }
    if (sharing.length > 0 || node.op === 'Gemm') return `${describe(node)} reads what grows`
    const content = grown.content?.every((x) => x === 0) ? grown.content : undefined
    return this.#follow(node, grown, { outputs: [{ port: 0, axis }], content, edits: [] }, this.#isScore(grown))
  }

  #addRow({ node, port, value }: Operand, axis: number, keys: Grown): Refusal {
    const objection = rowObjection(node, port, this.#request.columns.facts)
    if (objection !== undefined) return objection
    const edit: Edit = (ops, columns) => node.setInput(port, columns.with(value, axis, 0, 'spans', keys, ops))
    this.#edits.push({ node, edit })
    return undefined
  }
}

/** A Shape that other nodes rely on goes on giving the length without the new element. */
function shorterShape(node: Node, axis: number, facts: Facts): Edit | string | undefined {
  const shape = node.output()
  const rank = facts.rank(node.input(0) as Value)
  if (!shape || rank === undefined) return `the rank of "${node.input(0)?.name}" is not known`
  if (shape.outputUses > 0) return `the shape of "${node.input(0)?.name}" is a graph output`
  const fromFront = (at: number): number => Math.min(rank, Math.max(0, at < 0 ? at + rank : at))
  const start = fromFront(facts.int(node, 'start') ?? 0)
  const end = fromFront(facts.int(node, 'end') ?? rank)
  if (rank + axis < start || rank + axis >= end) return undefined
  return ({ place }) => {
    const behind = new Ops({ ...place, before: node.next })
    const readers = shape.uses
    const shorter = behind.Sub(shape, oneHot(end - start, rank + axis - end, behind))
    for (const reader of readers) reader.node.setInput(reader.index, shorter)
  }
}
