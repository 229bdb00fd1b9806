import type { Site } from '../src/attention/index.ts'
import { quantizationUncalibrated } from '../src/errors.ts'
import type { Graph, Node, Value } from '../src/ir/index.ts'
import { dtypes, mapElements, Tensor } from '../src/ir/index.ts'
import { constantTensor, Facts } from '../src/ops/index.ts'
import type { Quantization, StoredWeight } from '../src/quantize/index.ts'
import {
  extremesOf,
  publishedPoints,
  quantizedWhole,
  roundEven,
  signedScale,
  unsignedAffine,
} from '../src/quantize/index.ts'
import { approximate, definePass, dropUnread, Ops, opsetOf } from '../src/rewrite/index.ts'

/**
 * The W8A8 simulation that OutEffHop was measured with: every weight s8 with one symmetric scale, every activation u8 with
 * one scale and zero point, by running extremes; scores before the mask, probabilities and contexts too. Biases, softmax and
 * the inside of normalisations are float.
 *
 * It reproduces tables and is no way to a fast or accurate model: `insert-qdq` and its neighbours are.
 * Source: the code of OutEffHop (arXiv 2404.03828).
 */
export const quantizeAsPublished = definePass({
  name: 'quantize-as-published',
  stage: 'quantize',
  summary: 'Quantize every weight and every activation as the published protocol does.',
  effect: approximate(0.1),
  run(model, { quantization, sites }) {
    if (quantization?.settings.protocol !== 'outeffhop') return 0
    const skip = (node: Node) => quantization.settings.keep(node.label)
    const { activations, weights, products } = publishedPoints(model, skip, new Facts())
    const own = sites.filter(({ graph, node }) => graph === model.graph && !skip(node))
    const inside = new Set(own.flatMap(scoreSums))
    const all = new Set([...activations.filter((value) => !inside.has(value)), ...own.flatMap(attentionPoints)])
    const points = [...all].filter((value) => !isQuantized(value))
    const unknown = points.filter((value) => !isObserved(value, quantization))
    if (unknown.length > 0) throw quantizationUncalibrated(unknown.length, (unknown[0] as Value).name)
    for (const value of points) quantizeValue(value, quantization)
    const stored = new Map<Value, Value>()
    for (const weight of weights) quantizeWeight(weight, stored)
    for (const node of products) {
      if (skip(node)) quantization.leave(node, 'was asked to stay in float')
      else Object.assign(quantization.reportOf(node), { quantized: true, reason: null })
    }
    return points.length + stored.size
  },
})

/** Scores before anything but a scalar is added, probabilities, and contexts. */
function attentionPoints(site: Site): readonly Value[] {
  if (site.verdict.kind === 'rejected' || site.verdict.kind === 'review') return []
  const scores = site.scores[0]?.node.output()
  const contexts = site.values.map(({ node }) => node.output())
  return [scores && scaledScores(scores), site.output, ...contexts].filter((value) => value !== undefined)
}

/** Scores after the factor 1/sqrt(d), wherever it stands. */
function scaledScores(scores: Value): Value {
  const facts = new Facts()
  let at = scores
  for (;;) {
    const [reader, ...more] = at.consumers
    const isFactor = reader?.op === 'Mul' || (reader?.op === 'Div' && reader.input(0) === at)
    const other = reader?.inputs.find((value) => value !== at)
    const next = reader?.output()
    if (!isFactor || more.length > 0 || at.outputUses > 0 || facts.scalar(other) === undefined || !next) return at
    at = next
  }
}

/** Sums on the way from scores to the softmax: masks and position biases, which are no residuals. */
function scoreSums({ scorePath, nodes }: Site): readonly Value[] {
  return [...scorePath.map(({ node }) => node), ...nodes].flatMap((node) =>
    node.outputs.filter((value) => value !== undefined),
  )
}

function isQuantized({ producer, consumers }: Value): boolean {
  const isQuantizer = (node: Node) => node.op === 'QuantizeLinear'
  return producer?.op === 'DequantizeLinear' || (consumers.length > 0 && consumers.every(isQuantizer))
}

function isObserved(value: Value, quantization: Quantization): boolean {
  const range = quantization.statisticsOf(value)?.range
  return range !== undefined && Number.isFinite(range.min) && Number.isFinite(range.max)
}

/** The value keeps its name and readers; what is quantized is made under another one. */
function quantizeValue(value: Value, quantization: Quantization): void {
  const { graph } = value
  const producer = value.producer as Node
  const range = quantization.statisticsOf(value)?.rangeBy(quantization.settings.range) ?? { min: 0, max: 0 }
  const affine = unsignedAffine(range)
  const real = graph.newValue(`${value.name}/real`)
  producer.setOutput(producer.outputs.indexOf(value), real)
  const ops = new Ops({ graph, before: producer.next, name: value.name, opset: opsetOf(graph) })
  const scale = ops.constant(Tensor.scalar(dtypes.float, affine.scale).named(`${value.name}/scale`))
  const zeroPoint = ops.constant(Tensor.scalar(dtypes.uint8, affine.zeroPoint).named(`${value.name}/zero`))
  rename(ops.DequantizeLinear(ops.QuantizeLinear(real, scale, zeroPoint), scale, zeroPoint), value)
}

function rename(made: Value, value: Value): void {
  const last = made.producer as Node
  last.setOutput(0, value)
  made.graph.removeValue(made)
}

/** One scale for all of a stored weight; unsigned where nothing of it is below 0. */
function quantizeWeight({ value, node, port }: StoredWeight, stored: Map<Value, Value>): void {
  const made = stored.get(value) ?? dequantizedOf(value)
  if (!made) return
  stored.set(value, made)
  node.setInput(port, made)
  dropUnread(value)
}

function dequantizedOf(value: Value): Value | undefined {
  const tensor = constantTensor(value)
  if (tensor?.dtype !== dtypes.float) return undefined
  const { graph, name } = value
  const { min, max } = extremesOf(tensor)
  const limit = min < 0 ? 127 : 255
  const scale = signedScale(Math.max(-min, max), limit)
  const dtype = min < 0 ? dtypes.int8 : dtypes.uint8
  const integers =
    dtype === dtypes.int8 && tensor.dims.length === 2
      ? quantizedWhole(tensor, scale, limit)
      : mapElements(tensor, (w) => Math.min(limit, Math.max(-limit, roundEven(w / scale))), dtype)
  const ops = new Ops({ graph, before: firstOf(graph, value), name, opset: opsetOf(graph) })
  const at = graph.addInitializer(`${name}/${dtype === dtypes.int8 ? 'int8' : 'uint8'}`, integers)
  const step = ops.constant(Tensor.scalar(dtypes.float, scale).named(`${name}/scale`))
  const zero = ops.constant(Tensor.scalar(dtype, 0).named(`${name}/zero`))
  return ops.DequantizeLinear(at, step, zero)
}

/** Where a constant is there already: behind the node that holds it, or at the start. */
function firstOf(graph: Graph, value: Value): Node | undefined {
  return value.producer ? value.producer.next : graph.nodes().next().value
}
