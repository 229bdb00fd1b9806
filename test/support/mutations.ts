import type { Graph, Model, Node, Value } from '../../src/ir/index.ts'
import { attr, dtypes, isFloat, mapElements, Tensor } from '../../src/ir/index.ts'
import { constantOf, dtypeOf } from '../../src/ops/index.ts'
import { replaceConstant } from '../../src/rewrite/index.ts'

/** One operator of a model, broken on purpose. */
export interface Mutation {
  readonly name: string
  /** Breaks the first operator it fits, from the middle of the graph on; undefined where there is none. */
  apply(model: Model): Node | undefined
}

/** Nodes from the middle of the graph on, then those before it. */
function fromTheMiddle(graph: Graph): Node[] {
  const nodes = [...graph.nodes()]
  const middle = Math.floor(nodes.length / 2)
  return [...nodes.slice(middle), ...nodes.slice(0, middle)]
}

function mutation(name: string, breaks: (node: Node) => boolean): Mutation {
  return { name, apply: (model) => fromTheMiddle(model.graph).find(breaks) }
}

/** The float tensor of an input that is a constant. */
function weightOf(node: Node, port: number, least = 2): Tensor | undefined {
  const value = node.input(port)
  const constant = value?.producer?.op === 'Constant' ? value.producer.attributes.get('value') : undefined
  const tensor = value?.initializer ?? (constant?.kind === 'tensor' ? constant.value : undefined)
  return tensor && isFloat(tensor.dtype) && tensor.size >= least ? tensor : undefined
}

function scaled(node: Node, port: number, factor: number, least?: number): boolean {
  const tensor = weightOf(node, port, least)
  if (tensor === undefined) return false
  replaceConstant(
    node,
    port,
    mapElements(tensor, (x) => x * factor),
    `${node.label}/broken`,
  )
  return true
}

/** The port of an Add that reads a vector, and that of a value beside it. */
function biasPorts(node: Node): readonly [bias: number, other: number] | undefined {
  if (node.op !== 'Add') return undefined
  const port = [0, 1].find((i) => weightOf(node, i)?.dims.length === 1)
  return port === undefined || weightOf(node, 1 - port) ? undefined : [port, 1 - port]
}

function reads(node: Node, op: string): boolean {
  return node.outputs.some((value) => value?.consumers.some((consumer) => consumer.op === op))
}

function isDynamic(value: Value | undefined): boolean {
  return value !== undefined && value.initializer === undefined && constantOf(value) === undefined
}

export const mutations: readonly Mutation[] = [
  mutation('a weight scaled by 1.05', (node) => ['MatMul', 'Gemm', 'Conv'].includes(node.op) && scaled(node, 1, 1.05)),
  mutation('a weight with one element changed', (node) => {
    const tensor = ['MatMul', 'Gemm', 'Conv'].includes(node.op) ? weightOf(node, 1) : undefined
    if (tensor === undefined) return false
    replaceConstant(
      node,
      1,
      mapElements(tensor, (x, i) => (i === 3 ? x + 1 : x)),
      `${node.label}/broken`,
    )
    return true
  }),
  mutation('a bias dropped', (node) => {
    const ports = biasPorts(node)
    return ports !== undefined && scaled(node, ports[0], 0)
  }),
  mutation('a scale off by 2', (node) => {
    if (node.op === 'DequantizeLinear') return scaled(node, 1, 2, 1)
    if (node.op !== 'Mul' && node.op !== 'Div') return false
    const port = [1, 0].find((i) => weightOf(node, i, 1)?.size === 1)
    return port !== undefined && isDynamic(node.input(1 - port)) && scaled(node, port, 2, 1)
  }),
  mutation('a zero point shifted', (node) => {
    const zero = node.op === 'DequantizeLinear' ? node.input(2) : undefined
    const tensor = zero?.initializer
    if (tensor?.dtype !== dtypes.uint8 || tensor.size !== 1) return false
    replaceConstant(node, 2, Tensor.of(dtypes.uint8, tensor.dims, [Math.min(255, (tensor.toNumbers()[0] ?? 0) + 3)]))
    return true
  }),
  mutation('a mask dropped', (node) => {
    if (node.op !== 'Add' || !reads(node, 'Softmax') || !node.inputs.every(isDynamic)) return false
    const mask = node.inputs.find((value) => value?.producer?.op !== 'MatMul' && value?.producer?.op !== 'Div')
    const port = node.inputs.indexOf(mask)
    if (port < 0 || dtypeOf(mask as Value) !== dtypes.float) return false
    replaceConstant(node, port, Tensor.of(dtypes.float, [], [0]), `${node.label}/broken`)
    return true
  }),
  mutation('a subtraction turned around', (node) => {
    if (node.op !== 'Sub' || !node.inputs.every(isDynamic) || dtypeOf(node.output() as Value) !== dtypes.float)
      return false
    const [a, b] = node.inputs
    node.setInput(0, b)
    node.setInput(1, a)
    return true
  }),
  mutation('an epsilon changed', (node) => {
    if (node.op === 'LayerNormalization' || node.op === 'BatchNormalization') {
      node.setAttribute('epsilon', attr.float(1e-2))
      return true
    }
    const isVariance = node.op === 'Add' && reads(node, 'Sqrt')
    const port = isVariance ? [1, 0].find((i) => weightOf(node, i, 1)?.size === 1) : undefined
    if (port === undefined) return false
    replaceConstant(node, port, Tensor.of(dtypes.float, [], [1e-2]), `${node.label}/broken`)
    return true
  }),
  mutation('an axis changed', (node) => {
    if (node.op !== 'Softmax') return false
    node.setAttribute('axis', attr.int(-2))
    return true
  }),
  mutation('an activation replaced by none', (node) => {
    const ops = ['Erf', 'Tanh', 'Relu', 'Sigmoid', 'HardSigmoid']
    if (!ops.includes(node.op)) return false
    node.graph.insert({ opType: 'Identity', name: node.name }, [node.input(0)], [], node).setOutput(0, take(node))
    node.graph.remove(node)
    return true
  }),
  mutation('a gain of a normalisation halved', (node) => {
    if (node.op === 'LayerNormalization') return scaled(node, 1, 0.5)
    if (node.op !== 'Mul') return false
    const port = [1, 0].find((i) => weightOf(node, i)?.dims.length === 1)
    return port !== undefined && isDynamic(node.input(1 - port)) && scaled(node, port, 0.5)
  }),
]

function take(node: Node): Value {
  const output = node.output() as Value
  node.setOutput(0, undefined)
  return output
}
