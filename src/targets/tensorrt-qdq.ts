/**
 * What TensorRT asks of explicit Q/DQ, checked on a finished model. Written from its rules, and from nothing that places
 * quantizers: whoever made the model is held to the same.
 *
 * Sources: the developer guide on explicit quantization and on Q/DQ placement, the operator table of its ONNX parser, and
 * what the builder of TensorRT-RTX 1.7.1 says of models that break a rule.
 */
import type { DType, Graph, Model, Node, Tensor, Value } from '../ir/index.ts'
import { bitsOf, dtypeName, dtypes } from '../ir/index.ts'

/**
 * What comes of breaking each rule. `refused`: the parser or the builder says so. `unspecified`: the documents forbid it, and
 * a builder may take it all the same, as that of TensorRT-RTX does. `slow`: it is built without the kernels that were meant.
 */
const severities = {
  'zero-point': 'refused',
  'scale-positive': 'refused',
  'scale-shape': 'refused',
  'quantized-type': 'refused',
  opset: 'unspecified',
  'scale-constant': 'unspecified',
  'scale-type': 'unspecified',
  pair: 'unspecified',
  'weight-constant': 'unspecified',
  'weight-axis': 'unspecified',
  'activation-per-tensor': 'unspecified',
  operands: 'slow',
  'attention-float8': 'slow',
  'output-quantized': 'slow',
} as const

export type QdqRule = keyof typeof severities

/** One place that breaks a rule. */
export interface QdqFinding {
  readonly rule: QdqRule
  readonly severity: (typeof severities)[QdqRule]
  readonly node: string
  /** What is there, as a sentence without its end. */
  readonly message: string
  /** What to do, as a sentence. */
  readonly advice: string
}

/** Everything in a model's Q/DQ that TensorRT refuses or runs slowly; empty where there is nothing. */
export function checkQdq(model: Model): QdqFinding[] {
  const check = new Checker(model.opset)
  for (const graph of model.graphs()) check.graph(graph)
  return check.findings
}

/** Types that the parser quantizes to, and since which opset there are scales of them by tensor or channel. */
const quantizedTypes: ReadonlyMap<DType, number> = new Map([
  [dtypes.int8, 10],
  [dtypes.float8e4m3fn, 19],
  [dtypes.int4, 21],
  [dtypes.float4e2m1, 23],
])

/** Axis of the output channels, by operator and input; negative ones count from the end. */
const weightAxes: Readonly<Record<string, number>> = { Conv: 0, ConvTranspose: 1, MatMul: -1 }

const halves = new Set<DType | undefined>([dtypes.float16, dtypes.bfloat16])

class Checker {
  readonly findings: QdqFinding[] = []
  readonly #opset: number

  constructor(opset: number) {
    this.#opset = opset
  }

  graph(graph: Graph): void {
    for (const node of graph.nodes()) {
      if (node.op === 'QuantizeLinear') this.#quantize(node)
      else if (node.op === 'DequantizeLinear') this.#dequantize(node)
      else if (node.op in weightAxes || node.op === 'Gemm') this.#product(node)
      else if (node.op === 'Softmax') this.#softmax(node)
    }
  }

  #quantize(node: Node): void {
    this.#parameters(node)
    const source = node.input(0)
    const scale = tensorAt(node, 1)
    if (source && !tensorOf(source) && scale && scale.size !== 1)
      this.#find(node, 'activation-per-tensor', `quantizes an activation with ${scale.size} scales`, oneScale)
    const [type, own] = [source && typeOf(source), scale?.dtype]
    if (own !== undefined && type !== undefined && type !== own)
      this.#find(node, 'scale-type', `quantizes ${nameOf(type)} with a scale of ${nameOf(own)}`, sameType)
    const output = node.output()
    const others = output?.consumers.filter(({ op }) => op !== 'DequantizeLinear') ?? []
    if (!output || others.length > 0 || output.outputUses > 0 || !output.isUsed)
      this.#find(node, 'pair', 'gives integers to something that is no DequantizeLinear', pairThem)
  }

  #dequantize(node: Node): void {
    this.#parameters(node)
    const source = node.input(0)
    if (!source) return
    if (tensorOf(source)) return
    const before = source.producer
    if (before?.op !== 'QuantizeLinear') {
      this.#find(node, 'weight-constant', 'dequantizes integers that are computed', storeThem)
      return
    }
    const scales = [before, node].map((one) => numbersAt(one, 1)?.join())
    if (scales[0] !== undefined && scales[1] !== undefined && scales[0] !== scales[1])
      this.#find(node, 'pair', 'has another scale than the QuantizeLinear in front of it', pairThem)
  }

  /** Zero point, scale and type: what holds for both operators. */
  #parameters(node: Node): void {
    const zero = node.input(2)
    const zeros = zero && numbersOf(zero)
    if (zero && !zeros) this.#find(node, 'zero-point', 'has a zero point that is computed', noZeroPoint)
    else if (zeros?.some((z) => z !== 0)) this.#find(node, 'zero-point', 'has a zero point other than 0', noZeroPoint)
    const scales = numbersAt(node, 1)
    if (!scales) this.#find(node, 'scale-constant', 'has a scale that is computed', storeThem)
    else if (scales.some((scale) => !(scale > 0) || !Number.isFinite(scale)))
      this.#find(node, 'scale-positive', 'has a scale that is not a positive number', positive)
    const type = quantizedTypeOf(node)
    const since = quantizedTypes.get(type ?? dtypes.uint8)
    if (since === undefined) this.#find(node, 'quantized-type', `is of type ${nameOf(type ?? dtypes.uint8)}`, takeInt8)
    else if (this.#opset < since)
      this.#find(
        node,
        'opset',
        `is of type ${nameOf(type)} in a model of opset ${this.#opset}`,
        `Raise the model to opset ${since}.`,
      )
    this.#shape(node)
  }

  #shape(node: Node): void {
    const scale = tensorAt(node, 1)
    const zero = tensorAt(node, 2)
    const source = node.input(0)
    const dims = source && (tensorOf(source)?.dims ?? knownDims(source))
    if (zero && scale && zero.size !== scale.size)
      this.#find(node, 'scale-shape', `has ${scale.size} scales and ${zero.size} zero points`, oneEach)
    if (!scale || scale.size === 1 || scale.dims.length !== 1) return
    const axis = node.int('axis') ?? 1
    const size = dims?.at(axis)
    if (dims && size !== scale.size)
      this.#find(node, 'scale-shape', `has ${scale.size} scales along axis ${axis}, which is of size ${size}`, oneEach)
    if (this.#opset < 13)
      this.#find(node, 'opset', `has a scale for each channel in opset ${this.#opset}`, 'Raise the model to opset 13.')
  }

  /** The operands of a product, and the axis of the scales of its weight. */
  #product(node: Node): void {
    const operands = [0, 1].map((port) => node.input(port)?.producer)
    const quantized = operands.map((producer) => producer?.op === 'DequantizeLinear')
    if (quantized[0] !== quantized[1])
      this.#find(node, 'operands', `reads one operand quantized and the other not`, bothOperands)
    const types = operands.map((producer) => producer && quantizedTypeOf(producer))
    if (quantized[0] && quantized[1] && types[0] !== types[1] && !types.some((type) => bitsOf(type ?? 0) === 4))
      this.#find(
        node,
        'operands',
        `multiplies ${types.map(nameOf).join(' by ')}`,
        'Quantize both operands to one type.',
      )
    for (const port of [0, 1]) this.#weight(node, port)
    const result = node.output()
    const again = result?.consumers.filter(({ op }) => op === 'QuantizeLinear') ?? []
    if (result && quantized[0] && again.length > 0 && !again.every((one) => feedsProducts(one)))
      this.#find(node, 'output-quantized', 'has its result quantized for what is no product', leaveOutputs)
  }

  #weight(node: Node, port: number): void {
    const dequantize = node.input(port)?.producer
    const scale = dequantize?.op === 'DequantizeLinear' ? tensorAt(dequantize, 1) : undefined
    if (!dequantize || !scale || scale.size === 1 || scale.dims.length !== 1) return
    const stored = weightOf(dequantize)
    if (!stored) return
    const rank = stored.dims.length
    const wanted = node.op === 'Gemm' ? (node.int('transB') ? 0 : 1) : ((weightAxes[node.op] as number) + rank) % rank
    const axis = ((dequantize.int('axis') ?? 1) + rank) % rank
    if (port !== 1 || axis !== wanted)
      this.#find(
        dequantize,
        'weight-axis',
        `has scales along axis ${axis} of the ${port === 1 ? 'weight' : 'left operand'} of the ${node.op} "${node.label}"`,
        `Have one scale for each output channel, along axis ${wanted} of the weight, or one for all.`,
      )
  }

  /** Attention in float8: probabilities and values, queries and keys, all of them, in half precision around. */
  #softmax(node: Node): void {
    const quantize = node.output()?.consumers.find(({ op }) => op === 'QuantizeLinear')
    if (!quantize || quantizedTypeOf(quantize) !== dtypes.float8e4m3fn) return
    const product = quantize
      .output()
      ?.consumers[0]?.output()
      ?.consumers.find(({ op }) => op === 'MatMul')
    const score = scoreBehind(node)
    const read = [product, score].flatMap((one) => [0, 1].map((port) => one?.input(port)?.producer))
    if (!product || !score || read.some((producer) => producer?.op !== 'DequantizeLinear'))
      this.#find(quantize, 'attention-float8', 'quantizes probabilities beside operands that are not', allOperands)
    else if (!halves.has(tensorAt(quantize, 1)?.dtype))
      this.#find(quantize, 'attention-float8', 'quantizes attention to float8 in single precision', lowerTypes)
  }

  #find(node: Node, rule: QdqRule, message: string, advice: string): void {
    const severity = severities[rule]
    this.findings.push({ rule, severity, node: node.label, message: `"${node.label}" ${message}`, advice })
  }
}

const oneScale = 'Give an activation one scale; only weights have one for each channel.'
const sameType = 'Store the scale in the type of the data: types are what a strongly typed network computes in.'
const pairThem = 'Put a DequantizeLinear of the same scale right behind each QuantizeLinear.'
const storeThem = 'Store it in the model as a constant.'
const noZeroPoint = 'Quantize symmetrically: a zero point of 0, or none.'
const positive = 'Take the largest magnitude over the largest number of the type, and 1 where everything is 0.'
const takeInt8 = 'Quantize to int8 or float8e4m3fn.'
const oneEach = 'Have one scale and one zero point for each index of the axis, or one for all.'
const bothOperands = 'Quantize both operands of a product, or neither.'
const leaveOutputs = 'Leave what a product gives as it is, and quantize what the next one reads.'
const allOperands = 'Quantize queries, keys and values too, or leave the probabilities as they are.'
const lowerTypes = 'Convert with --float16 or --bfloat16.'

/** Whether what is dequantized again is read by products, or by sums with the results of products. */
function feedsProducts(quantize: Node): boolean {
  const readers = quantize.output()?.consumers.flatMap((node) => node.output()?.consumers ?? []) ?? []
  return readers.every(({ op }) => op in weightAxes || op === 'Gemm' || op === 'Add')
}

/** The product whose result reaches a softmax through scales, masks and casts. */
function scoreBehind(softmax: Node): Node | undefined {
  let node = softmax.input(0)?.producer
  for (let steps = 0; node && steps < 8; steps++) {
    if (node.op === 'MatMul') return node
    if (!['Add', 'Cast', 'Div', 'Mul', 'Where', 'Reshape'].includes(node.op)) return undefined
    node = node.inputs.map((value) => value?.producer).find((producer) => producer && leadsToProduct(producer))
  }
  return undefined
}

function leadsToProduct(node: Node): boolean {
  let at: Node | undefined = node
  for (let steps = 0; at && steps < 8; steps++) {
    if (at.op === 'MatMul') return true
    at = at.input(0)?.producer
  }
  return false
}

function quantizedTypeOf(node: Node): DType | undefined {
  const zero = tensorAt(node, 2)?.dtype
  if (zero !== undefined) return zero
  if (node.op === 'QuantizeLinear') return node.int('output_dtype') || dtypes.uint8
  const source = node.input(0)
  return source?.producer ? quantizedTypeOf(source.producer) : source?.dtype
}

/** What a DequantizeLinear makes a weight of: stored integers, or a stored weight that is quantized when it is built. */
function weightOf(dequantize: Node): Tensor | undefined {
  const before = dequantize.input(0)?.producer
  return tensorAt(before?.op === 'QuantizeLinear' ? before : dequantize, 0)
}

function tensorAt(node: Node, port: number): Tensor | undefined {
  const value = node.input(port)
  return value && tensorOf(value)
}

function tensorOf({ initializer, isInput, producer }: Value): Tensor | undefined {
  if (initializer) return isInput ? undefined : initializer
  const held = producer?.op === 'Constant' ? producer.attributes.get('value') : undefined
  return held?.kind === 'tensor' ? held.value : undefined
}

function numbersAt(node: Node, port: number): readonly number[] | undefined {
  const value = node.input(port)
  return value && numbersOf(value)
}

function numbersOf(value: Value): readonly number[] | undefined {
  const tensor = tensorOf(value)
  return tensor && tensor.size <= largestVector ? tensor.toNumbers(largestVector) : undefined
}

/** Channels of the widest weight, and more. */
const largestVector = 1 << 24

/** The type of data that a scale belongs to, as far as the file or the node that makes it says. */
function typeOf(value: Value): DType | undefined {
  const { producer } = value
  if (value.dtype !== undefined) return value.dtype
  if (producer?.op === 'Cast') return producer.int('to')
  if (producer?.op === 'DequantizeLinear') return tensorAt(producer, 1)?.dtype
  if (producer && ['MatMul', 'Conv', 'Gemm', 'Softmax'].includes(producer.op)) {
    const read = producer.input(0)
    return read && typeOf(read)
  }
  return undefined
}

function knownDims(value: Value): readonly number[] | undefined {
  return value.shape?.every((size) => typeof size === 'number') ? (value.shape as readonly number[]) : undefined
}

function nameOf(dtype: DType | undefined): string {
  return (dtype === undefined ? undefined : dtypeName(dtype)) ?? 'an unknown type'
}
