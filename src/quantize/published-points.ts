import type { Graph, Model, Node, Tensor, Value } from '../ir/index.ts'
import { dtypes, forEachElement } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { constantTensor, dtypeOf } from '../ops/index.ts'
import { activationBehind } from './activation.ts'
import { channelAffineOf } from './norm.ts'
import type { Range } from './statistics.ts'

/** What the published protocol quantizes outside of attention. */
export interface PublishedPoints {
  /** Results of linear layers (behind their activation), of normalisations, and residual sums, in file order. */
  readonly activations: readonly Value[]
  /** Stored floats: matrices of linear layers, tables that are looked up, gains of normalisations. */
  readonly weights: readonly StoredWeight[]
  /** Products with a stored weight, which the report counts. */
  readonly products: readonly Node[]
}

/** A constant that is quantized for one reader. */
export interface StoredWeight {
  readonly value: Value
  readonly node: Node
  readonly port: number
}

/**
 * The quantizer points of the W8A8 simulation OutEffHop was measured with, read off the structure of the main graph.
 *
 * An activation function right behind a linear layer belongs to it: only its result counts. A residual sum adds the result
 * of a linear layer, or rows that were looked up, to other data. Scores, probabilities and contexts are not found here.
 * Source: the code of OutEffHop (arXiv 2404.03828), whose harness is that of arXiv 2306.12929.
 *
 * `skip` names nodes that stay in float with their weights.
 */
export function publishedPoints(model: Model, skip: (node: Node) => boolean, facts: Facts): PublishedPoints {
  const walk = new Walk(model.graph, skip, facts)
  for (const node of model.graph.nodes()) walk.visit(node)
  return { activations: [...walk.activations], weights: walk.weights, products: walk.products }
}

class Walk {
  readonly activations = new Set<Value>()
  readonly weights: StoredWeight[] = []
  readonly products: Node[] = []
  /** Results of linear layers before their activation, and looked-up rows: what a residual sum adds. */
  readonly #branches = new Set<Value>()
  readonly #graph: Graph
  readonly #skip: (node: Node) => boolean
  readonly #facts: Facts

  constructor(graph: Graph, skip: (node: Node) => boolean, facts: Facts) {
    this.#graph = graph
    this.#skip = skip
    this.#facts = facts
  }

  visit(node: Node): void {
    if (node.op === 'MatMul' || node.op === 'Gemm') this.#linear(node)
    else if (node.op === 'Gather') this.#lookup(node)
    else if (node.op === 'Add' && this.#isResidual(node)) this.#sum(node.output())
    for (const output of node.outputs) if (output) this.#normalised(output)
  }

  #linear(node: Node): void {
    const weight = node.input(1)
    const input = node.input(0)
    if (!input || !weight || this.#facts.isConstant(input) || !isFloatMatrix(storedBehind(weight))) return
    this.products.push(node)
    const result = this.#biased(node)
    if (!result) return
    this.#branches.add(result)
    if (this.#skip(node)) return
    this.#weigh(node, 1)
    this.#add(activationBehind(result, this.#facts) ?? result)
  }

  /** What a product gives after its bias. */
  #biased(node: Node): Value | undefined {
    const output = node.output()
    const [reader, ...more] = output?.consumers ?? []
    if (node.op === 'Gemm' || !output || !reader || more.length > 0 || output.outputUses > 0) return output
    const other = reader.op === 'Add' ? reader.inputs.find((value) => value !== output) : undefined
    return other && isVector(other) ? reader.output() : output
  }

  /** The table is quantized, what is looked up is not quantized again. */
  #lookup(node: Node): void {
    const [table, indices] = [node.input(0), node.input(1)]
    if (!table || !indices || (node.int('axis') ?? 0) !== 0 || !isFloatMatrix(table)) return
    const rows = node.output()
    if (rows) this.#branches.add(rows)
    if (!this.#skip(node)) this.#weigh(node, 0)
  }

  #normalised(value: Value): void {
    const node = value.producer
    const size = this.#facts.shape(value)?.at(-1) ?? gainSize(node)
    if (!node || typeof size !== 'number') return
    const affine = channelAffineOf(value, size, this.#facts)
    if (!affine || (affine.kind === 'nodes' && !isNormalised(affine.gamma.node, affine.gamma.port))) return
    // Gamma alone is no result where a beta is added.
    if (affine.kind === 'nodes' && addsVector(value)) return
    if (this.#skip(node)) return
    this.#weigh(affine.gamma.node, affine.gamma.port)
    this.#add(value)
  }

  #isResidual(node: Node): boolean {
    const output = node.output()
    const operands = node.inputs.filter((value) => value !== undefined)
    if (!output || dtypeOf(output) !== dtypes.float || this.#skip(node)) return false
    if (operands.some((value) => isSmall(value, this.#facts))) return false
    return operands.some((value) => this.#isBranch(value))
  }

  #sum(value: Value | undefined): void {
    this.#add(value)
    if (value) this.#branches.add(value)
  }

  #isBranch(value: Value): boolean {
    let at: Value | undefined = value
    while (at) {
      if (this.#branches.has(at)) return true
      const node: Node | undefined = at.producer
      if (!node || !passive.has(node.op)) return false
      const data: readonly Value[] = node.inputs.filter((input) => input && !this.#facts.isConstant(input)) as Value[]
      at = data.length === 1 ? data[0] : undefined
    }
    return false
  }

  #weigh(node: Node, port: number): void {
    const value = storedBehind(node.input(port))
    const reader = value && readerOnTheWay(node, port, value)
    if (value && reader && value.graph === this.#graph) this.weights.push({ value, ...reader })
  }

  #add(value: Value | undefined): void {
    if (value && value.graph === this.#graph) this.activations.add(value)
  }
}

/** Operators between a linear layer and the sum its result is added in. */
const passive = new Set(['Identity', 'Dropout', 'Reshape', 'Transpose', 'Mul', 'Squeeze', 'Unsqueeze'])

/** Operators that leave a stored matrix one. */
const moves = new Set(['Transpose', 'Identity'])

function storedBehind(value: Value | undefined): Value | undefined {
  let at = value
  while (at?.producer && moves.has(at.producer.op)) at = at.producer.input(0)
  return at && constantTensor(at) ? at : undefined
}

/** The node and the port that read the stored value itself, on the way to this one. */
function readerOnTheWay(node: Node, port: number, stored: Value): { node: Node; port: number } | undefined {
  let at = { node, port }
  while (at.node.input(at.port) !== stored) {
    const producer = at.node.input(at.port)?.producer
    if (!producer) return undefined
    at = { node: producer, port: 0 }
  }
  return at
}

function isFloatMatrix(value: Value | undefined): boolean {
  const tensor = constantTensor(value)
  return tensor?.dtype === dtypes.float && tensor.dims.length === 2
}

function isVector(value: Value): boolean {
  const tensor = constantTensor(value)
  return tensor?.dims.every((dim, i) => dim === 1 || i === tensor.dims.length - 1) ?? false
}

/** A scalar or one number for each channel. */
function isSmall(value: Value, facts: Facts): boolean {
  return facts.isConstant(value) && (isVector(value) || facts.scalar(value) !== undefined)
}

/** The least and the greatest element, 0 included: a symmetric quantizer is unsigned only where nothing is below it. */
export function extremesOf(tensor: Tensor): Range {
  let [min, max] = [0, 0]
  forEachElement(tensor, (x) => {
    if (x < min) min = x
    if (x > max) max = x
  })
  return { min, max }
}

function gainSize(node: Node | undefined): number | undefined {
  const gains = node?.inputs.slice(node.op === 'Add' || node.op === 'Mul' ? 0 : 1)
  return gains?.map((value) => constantTensor(value)?.dims.at(-1)).find((size) => size !== undefined)
}

/** `n * gamma` where n was divided by a root: the last steps of a normalisation that is spelled out. */
function isNormalised(mul: Node, gammaPort: number): boolean {
  const n = mul.input(1 - gammaPort)?.producer
  const divisor = n?.op === 'Div' ? n.input(1) : n?.op === 'Mul' ? (rootIn(n.input(0)) ?? n.input(1)) : undefined
  return divisor !== undefined && rootIn(divisor) !== undefined
}

function rootIn(value: Value | undefined): Value | undefined {
  const node = value?.producer
  if (node?.op === 'Sqrt' || node?.op === 'Reciprocal' || node?.op === 'Pow') return value
  const [divided, by] = [node?.op === 'Div' ? node.input(0) : undefined, node?.input(1)]
  return divided && constantTensor(divided) && by?.producer?.op === 'Sqrt' ? value : undefined
}

function addsVector(value: Value): boolean {
  const [reader, ...more] = value.consumers
  return (
    reader?.op === 'Add' &&
    more.length === 0 &&
    reader.inputs.some((other) => other && other !== value && isVector(other))
  )
}
