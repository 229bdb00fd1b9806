import type { Model, Value } from '../src/ir/index.ts'
import { dtypes, forEachElement, mapElements, Tensor } from '../src/ir/index.ts'
import { Facts } from '../src/ops/index.ts'
import type { Affine, Quantization, WeightConvolution } from '../src/quantize/index.ts'
import {
  findConvolutions,
  migrationOf,
  roundEven,
  signedScale,
  unsignedAffine,
  visibleRange,
  weightLimit,
} from '../src/quantize/index.ts'
import { approximate, definePass, dropUnread, Ops, opsetOf } from '../src/rewrite/index.ts'

/**
 * Quantizes large convolutions of one position as ONNX Runtime's QLinearConv wants it: u8 data, s8 weights with one scale
 * for each output channel, an s32 bias in the scale of the product, and u8 results. Without the last, the convolution would
 * stay in float.
 *
 * Per tensor the weights would lose everything: of 100 lines of text not one is read right.
 */
export const quantizeConvolutions = definePass({
  name: 'quantize-convolutions',
  stage: 'quantize',
  summary: 'Quantize large convolutions of one position, with what they read and give.',
  effect: approximate(0.05),
  run(model, { quantization }) {
    if (!quantization?.settings.convolutions || quantization.settings.explicit !== undefined) return 0
    const facts = new Facts()
    const { convolutions, float } = findConvolutions(model, facts)
    for (const { node, reason } of float) quantization.leave(node, reason)
    const activations = new Activations(quantization, facts)
    let changed = 0
    for (const conv of convolutions) {
      const reason = reasonForFloat(conv, model, activations, quantization)
      if (reason === undefined) changed += quantize(conv, activations, quantization)
      else quantization.leave(conv.node, reason)
    }
    return changed
  },
})

function reasonForFloat(
  { node, input, output }: WeightConvolution,
  { opset, irVersion }: Model,
  activations: Activations,
  quantization: Quantization,
): string | undefined {
  if (quantization.settings.keep(node.label)) return 'was asked to stay in float'
  if (opset < 13) return `is in a model of opset ${opset}; scales by channel need opset 13`
  if (irVersion < 4) return `is in a file of IR version ${irVersion}, whose constants are graph inputs`
  if (output.outputUses > 0) return 'gives an output of the model'
  const unknown = [input, output].find((value) => !activations.canQuantize(value))
  return unknown && `meets "${unknown.name}", which was not calibrated`
}

/** A float value, and what reads as it after it was quantized. */
interface Activation {
  readonly source: Value
  readonly read: Value
  readonly affine: Affine
}

/** Values that are quantized: by products before, or here. */
class Activations {
  readonly #quantization: Quantization
  readonly #facts: Facts
  readonly #bySource = new Map<Value, Activation>()
  readonly #byRead = new Map<Value, Activation>()

  constructor(quantization: Quantization, facts: Facts) {
    this.#quantization = quantization
    this.#facts = facts
    for (const [read, { affine }] of quantization.quantizers) {
      const source = read.producer?.input(0)?.producer?.input(0)
      if (source) this.#add({ source, read, affine })
    }
  }

  canQuantize(value: Value): boolean {
    if (this.isQuantized(value)) return true
    const range = this.#quantization.statisticsOf(value)?.range
    return range !== undefined && Number.isFinite(range.min) && Number.isFinite(range.max)
  }

  isQuantized(value: Value): boolean {
    return this.#byRead.has(value) || this.#bySource.has(value)
  }

  /** The quantized form of a value that {@link canQuantize}. */
  of(value: Value, conv: WeightConvolution): Activation {
    return this.#byRead.get(value) ?? this.#bySource.get(value) ?? this.#insert(value, conv)
  }

  #insert(source: Value, { node, output }: WeightConvolution): Activation {
    const range = this.#quantization.statisticsOf(source)?.rangeBy(this.#quantization.settings.range)
    const affine = unsignedAffine(visibleRange(source, range ?? { min: 0, max: 0 }, this.#facts))
    const before = source === output ? node.next : node
    const ops = new Ops({ graph: node.graph, before, name: source.name, opset: opsetOf(node.graph) })
    const scale = ops.constant(Tensor.scalar(dtypes.float, affine.scale).named(`${source.name}/scale`))
    const zeroPoint = ops.constant(Tensor.scalar(dtypes.uint8, affine.zeroPoint).named(`${source.name}/zero`))
    const read = ops.DequantizeLinear(ops.QuantizeLinear(source, scale, zeroPoint), scale, zeroPoint)
    return this.#add({ source, read, affine })
  }

  #add(activation: Activation): Activation {
    this.#bySource.set(activation.source, activation)
    this.#byRead.set(activation.read, activation)
    return activation
  }
}

function quantize(found: WeightConvolution, activations: Activations, quantization: Quantization): number {
  const conv = smooth(found, activations, quantization)
  const { node, output } = conv
  const data = activations.of(conv.input, conv)
  const result = activations.of(output, conv)
  node.setInput(0, data.read)
  quantizeWeight(conv, data, quantization)
  const quantizer = result.read.producer?.input(0)?.producer
  output.replaceUsesWith(result.read, quantizer ? { except: quantizer } : {})
  const report = quantization.reportOf(node)
  report.quantized = true
  report.reason = null
  return 1
}

/** Activations of image models have no such outliers as those of transformers: weights take half, SmoothQuant's default. */
const balance = 0.5

/** Moves outlier channels of the data into the weight: `x / s` by one Mul, and `s W`. */
function smooth(conv: WeightConvolution, activations: Activations, quantization: Quantization): WeightConvolution {
  const { node, input, weight } = conv
  const channels = quantization.statisticsOf(input)?.channels
  const [outputs = 0, inputs = 0] = weight.dims
  const isOfInput = channels?.axis === 1 - weight.dims.length && channels.min.length === inputs
  if (quantization.settings.alpha === undefined || !isOfInput || activations.isQuantized(input)) return conv
  const matrix = new Tensor({ dtype: weight.dtype, dims: [outputs, inputs], payload: weight.payload })
  const migration = migrationOf(channels, [{ tensor: matrix, inputAxis: 1 }], { alpha: balance, symmetric: false })
  if (!migration) return conv
  const ops = new Ops({ graph: node.graph, before: node, name: `${input.name}/smooth`, opset: opsetOf(node.graph) })
  const dims = [1, inputs, ...weight.dims.slice(2)]
  const factors = Tensor.of(
    weight.dtype,
    dims,
    migration.scale.map((s) => 1 / s),
  )
  const made = ops.Mul(input, ops.constant(factors.named(`${input.name}/smooth/factors`)))
  quantization.migrated(made, input, channels, migration)
  const scaled = mapElements(weight, (w, index) => w * (migration.scale[index % inputs] as number))
  return { ...conv, input: made, weight: scaled }
}

/** s8 weights and s32 bias. The bias takes up what rounding the weights changes of the mean result. */
function quantizeWeight(conv: WeightConvolution, { source, affine }: Activation, quantization: Quantization): void {
  const { weight, bias } = conv
  const limit = weightLimit(quantization.settings.reduceRange)
  const [outputs = 0] = weight.dims
  const channelOf = (index: number): number => Math.floor(index / (weight.size / outputs))
  const biases = Float64Array.from(bias?.toNumbers() ?? [])
  const scales = scalesOf(weight, biases, affine.scale, limit)
  const round = (w: number, scale: number): number => Math.min(limit, Math.max(-limit, roundEven(w / scale)))
  const mean = meanByChannel(conv, source, quantization)
  if (mean && bias)
    forEachElement(weight, (w, index) => {
      const [o, scale] = [channelOf(index), scales[channelOf(index)] as number]
      const error = w - scale * round(w, scale)
      biases[o] = (biases[o] as number) + (mean[index % mean.length] as number) * error
    })
  const integers = mapElements(weight, (w, index) => round(w, scales[channelOf(index)] as number), dtypes.int8)
  const steps = scales.map((scale) => Math.fround(scale * affine.scale))
  setQuantized(conv, 1, integers, scales)
  if (!bias) return
  const rounded = biases.map((b, o) => Math.round(b / (steps[o] as number)))
  setQuantized(conv, 2, Tensor.of(dtypes.int32, [outputs], rounded), steps)
}

/** One scale for each output channel, large enough that the bias fits 32 bits in the scale of the product. */
function scalesOf(weight: Tensor, biases: Float64Array, dataScale: number, limit: number): Float64Array {
  const [outputs = 0] = weight.dims
  const largest = new Float64Array(outputs)
  forEachElement(weight, (w, index) => {
    const o = Math.floor(index / (weight.size / outputs))
    largest[o] = Math.max(largest[o] as number, Math.abs(w))
  })
  return largest.map((magnitude, o) =>
    Math.max(signedScale(magnitude, limit), Math.fround(Math.abs(biases[o] ?? 0) / (dataScale * 2 ** 30))),
  )
}

/** Mean of the data for each input channel, where calibration saw it. */
function meanByChannel(
  { weight }: WeightConvolution,
  source: Value,
  quantization: Quantization,
): Float64Array | undefined {
  const channels = quantization.settings.biasCorrection ? quantization.statisticsOf(source)?.channels : undefined
  const isOfInput = channels?.axis === 1 - weight.dims.length && channels.mean.length === weight.dims[1]
  return isOfInput ? channels.mean : undefined
}

/** Makes an input of a convolution the dequantized form of integers with one scale for each output channel. */
function setQuantized({ node }: WeightConvolution, port: number, integers: Tensor, scales: Float64Array): void {
  const { graph } = node
  const old = node.input(port) as Value
  const ops = new Ops({ graph, before: node, name: old.name, opset: opsetOf(graph) })
  const dims = [scales.length]
  const suffix = integers.dtype === dtypes.int8 ? 'int8' : 'int32'
  const stored = graph.addInitializer(`${old.name}/${suffix}`, integers)
  const scale = ops.constant(Tensor.of(dtypes.float, dims, scales).named(`${old.name}/scale`))
  const zeros = Tensor.of(integers.dtype, dims, new Int8Array(scales.length))
  const zeroPoint = ops.constant(zeros.named(`${old.name}/zero`))
  node.setInput(port, ops.DequantizeLinear(stored, scale, zeroPoint, 0))
  dropUnread(old)
}
