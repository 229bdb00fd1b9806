import type { Graph, Model, Node, Tensor, Value } from '../ir/index.ts'
import { dtypeName, dtypes } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { constantTensor, dtypeOf, functionOf } from '../ops/index.ts'
import type { Axis } from './matrix.ts'
import { transposed } from './matrix.ts'

/** A constant vector added to a product: the operand of an Add behind a MatMul, or the third input of a Gemm. */
export interface Bias {
  readonly node: Node
  readonly port: number
  readonly tensor: Tensor
}

/** A matrix product of data with a constant matrix, in the main graph. */
export interface WeightProduct {
  readonly node: Node
  /** The data: its last axis is contracted. */
  readonly input: Value
  readonly weight: Value
  readonly tensor: Tensor
  /** Axis of the matrix that is contracted: 1 for a Gemm with transB. */
  readonly inputAxis: Axis
  /** Undefined where nothing constant, or nothing but the product, is added. */
  readonly bias: Bias | undefined
  /** Rank of the data; undefined when unknown. */
  readonly rank: number | undefined
}

/** A product with a constant that is not quantized, and why, as the end of a sentence about it. */
export interface FloatProduct {
  readonly node: Node
  readonly reason: string
}

export interface Products {
  readonly products: readonly WeightProduct[]
  readonly float: readonly FloatProduct[]
}

/** Every MatMul and Gemm of a model with a constant operand, in file order: those that can be quantized, and the others. */
export function findProducts(model: Model, facts: Facts): Products {
  const products: WeightProduct[] = []
  const float: FloatProduct[] = []
  for (const graph of model.graphs()) {
    for (const node of graph.nodes()) {
      if (!hasConstantOperand(node, facts)) continue
      const found = graph === model.graph ? productOf(node, facts) : nestedReason(graph)
      if (typeof found === 'string') float.push({ node, reason: found })
      else products.push(found)
    }
  }
  return { products, float }
}

const operators = new Set(['MatMul', 'Gemm'])

function hasConstantOperand(node: Node, facts: Facts): boolean {
  return operators.has(node.op) && [0, 1].some((port) => isWeight(node.input(port), facts))
}

/** Operators that leave a stored matrix a stored matrix. */
const moves = new Set(['Transpose', 'Identity', 'Reshape', 'Cast', 'Slice', 'Split', 'Squeeze', 'DequantizeLinear'])

/** Whether a matrix is stored in the model, moved around or not; tables of scalars that graphs compute with are none. */
function isWeight(value: Value | undefined, facts: Facts): boolean {
  let at = value
  while (at?.producer && moves.has(at.producer.op)) at = at.producer.input(0)
  return value !== undefined && at !== undefined && constantTensor(at) !== undefined && (facts.rank(value) ?? 2) >= 2
}

function nestedReason(graph: Graph): string {
  return functionOf(graph) ? 'is in a function of the model' : 'is in a branch or a loop, which is not calibrated'
}

/** The product a node is, or why it cannot be quantized. */
function productOf(node: Node, facts: Facts): WeightProduct | string {
  const [input, weight] = [node.input(0), node.input(1)]
  if (!input || !weight) return 'has no two operands'
  if (facts.isConstant(input)) {
    return facts.isConstant(weight)
      ? 'multiplies constants only'
      : 'has its constant on the left, where scales by channel cannot be'
  }
  if (weight.producer?.opType === 'DequantizeLinear') return 'has a quantized weight already'
  const tensor = constantMatrix(weight)
  if (!tensor) return 'has a weight that is computed, not stored'
  if (tensor.dims.length !== 2) return `has a weight of rank ${tensor.dims.length}, which int8 kernels do not take`
  const dtype = dtypeOf(input) ?? tensor.dtype
  if (tensor.dtype !== dtypes.float || dtype !== dtypes.float)
    return `computes in ${dtypeName(dtype) ?? 'an unknown type'}; int8 kernels give float`
  if (node.opType === 'Gemm') {
    if ((node.int('transA') ?? 0) !== 0) return 'transposes its data'
    if ((node.float('alpha') ?? 1) !== 1 || (node.float('beta') ?? 1) !== 1) return 'has an alpha or beta other than 1'
  }
  const inputAxis = node.opType === 'Gemm' && node.int('transB') ? 1 : 0
  const rank = node.opType === 'Gemm' ? 2 : facts.rank(input)
  return { node, input, weight, tensor, inputAxis, bias: biasOf(node, tensor.dims[1 - inputAxis] ?? 0, facts), rank }
}

/** The matrix as the product reads it: an initializer, a Constant, or the transpose of one. */
function constantMatrix(value: Value): Tensor | undefined {
  const stored = constantTensor(value)
  if (stored) return stored
  const node = value.producer
  if (node?.op === 'Identity' && node.input(0)) return constantMatrix(node.input(0) as Value)
  if (node?.op !== 'Transpose' || String(node.ints('perm') ?? [1, 0]) !== '1,0') return undefined
  const source = node.input(0) && constantTensor(node.input(0) as Value)
  return source?.dtype === dtypes.float && source.dims.length === 2 ? transposed(source) : undefined
}

function biasOf(node: Node, size: number, facts: Facts): Bias | undefined {
  if (node.opType === 'Gemm') return vectorAt(node, 2, size)
  const output = node.output()
  const [add, ...more] = output?.consumers ?? []
  if (add?.op !== 'Add' || more.length > 0 || output?.outputUses !== 0 || add.graph !== node.graph) return undefined
  const bias = vectorAt(add, add.input(0) === output ? 1 : 0, size)
  // A vector of more axes than the product would change the shape.
  const rank = output && facts.rank(output)
  return bias && rank !== undefined && bias.tensor.dims.length > rank ? undefined : bias
}

/** A constant that holds one float for each output channel, along the last axis. */
function vectorAt(node: Node, port: number, size: number): Bias | undefined {
  const value = node.input(port)
  const tensor = value && constantTensor(value)
  if (!tensor || tensor.dtype !== dtypes.float || tensor.size !== size || tensor.dims.at(-1) !== size) return undefined
  return { node, port, tensor }
}
