import type { Value } from '../src/ir/index.ts'
import { dtypeName, dtypes, Tensor } from '../src/ir/index.ts'
import { Facts } from '../src/ops/index.ts'
import type { Quantization, WeightProduct } from '../src/quantize/index.ts'
import { contract, groupsToQuantize, isStatic, largestMagnitude, quantizedOn } from '../src/quantize/index.ts'
import { approximate, definePass, dropUnread, Ops, opsetOf, replaceConstant } from '../src/rewrite/index.ts'

/**
 * Stores the weights of products whose data is quantized as s8 or f8, with one symmetric scale for each output channel, and
 * lets each bias take up the mean error: `b + E[x] W - E[Q(x)] Wq`.
 *
 * Weights stay where they are until the model is written; then they are computed a block at a time. A product of rank 2
 * gets its bias as s32 with scale `sx * sw`: with a float one, ONNX Runtime makes a Gemm of it that runs in float. Explicit
 * Q/DQ leave biases as they are.
 */
export const quantizeWeights = definePass({
  name: 'quantize-weights',
  stage: 'quantize',
  summary: 'Store the weights of quantized products as 8-bit integers, one scale for each output channel.',
  effect: approximate(0.05),
  run(model, { quantization }) {
    if (!quantization || !isStatic(quantization.settings.recipe) || quantization.settings.protocol) return 0
    const groups = groupsToQuantize(model, quantization, new Facts())
    const products = groups.filter(({ input }) => quantization.quantizerOf(input)).flatMap((group) => group.products)
    const weights = new Map<Value, QuantizedWeight>()
    for (const product of products) quantize(product, weights, quantization)
    return products.length
  },
})

interface QuantizedWeight {
  readonly scales: Float64Array
  readonly integers: Tensor
  readonly value: Value
}

function quantize(product: WeightProduct, weights: Map<Value, QuantizedWeight>, quantization: Quantization): void {
  const { node, weight } = product
  const made = weights.get(weight) ?? storeWeight(product, quantization)
  weights.set(weight, made)
  if (quantization.settings.biasCorrection) correctBias(product, made, quantization)
  node.setInput(1, made.value)
  dropUnread(weight)
  if (product.rank === 2 && quantization.settings.explicit === undefined) quantizeBias(product, made, quantization)
  const report = quantization.reportOf(node)
  report.quantized = true
  report.reason = null
}

/** The integers as an initializer, and the DequantizeLinear that products read. */
function storeWeight({ node, weight, tensor, inputAxis }: WeightProduct, quantization: Quantization): QuantizedWeight {
  const axis = inputAxis === 0 ? 1 : 0
  const { grid } = quantization
  const scales = largestMagnitude(tensor, axis).map((magnitude) => quantization.weightScale(magnitude))
  const integers = quantizedOn(grid, tensor, scales, axis)
  const { graph } = node
  const ops = new Ops({ graph, before: node, name: weight.name, opset: opsetOf(graph) })
  const name = weight.name
  const stored = graph.addInitializer(`${name}/${dtypeName(grid.dtype)}`, integers)
  const scale = ops.constant(Tensor.of(dtypes.float, [scales.length], scales).named(`${name}/scale`))
  const zeros = new Int8Array(scales.length)
  const zeroPoint = ops.constant(Tensor.of(grid.dtype, [scales.length], zeros).named(`${name}/zero`))
  return { scales, integers, value: ops.DequantizeLinear(stored, scale, zeroPoint, axis) }
}

/** Adds `E[x] W - E[Q(x)] Wq` to the bias; without a second pass over the data, Q(x) is taken to be right in the mean. */
function correctBias(product: WeightProduct, { scales, integers }: QuantizedWeight, quantization: Quantization): void {
  const { bias, tensor, inputAxis } = product
  const quantizer = quantization.quantizerOf(product.input)
  const means = quantizer && quantization.meansOf(quantizer)
  if (!bias || !means) return
  const exact = contract(means.real, tensor, inputAxis)
  const rounded = contract(means.rounded, integers, inputAxis)
  const change = (b: number, n: number) => b + (exact[n] as number) - (rounded[n] as number) * (scales[n] as number)
  const corrected = Float64Array.from(bias.tensor.toNumbers(bias.tensor.size), change)
  replaceConstant(bias.node, bias.port, Tensor.of(dtypes.float, bias.tensor.dims, corrected))
}

/** The bias as s32 in the scale of the integer product. */
function quantizeBias(product: WeightProduct, { scales }: QuantizedWeight, quantization: Quantization): void {
  const { bias, node } = product
  const quantizer = quantization.quantizerOf(product.input)
  const value = bias?.node.input(bias.port)
  const tensor = value?.initializer ?? bias?.tensor
  if (!bias || !value || !tensor || !quantizer || tensor.dims.length !== 1) return
  const steps = scales.map((scale) => Math.fround(scale * quantizer.affine.scale))
  const integers = tensor.toNumbers(tensor.size).map((b, n) => Math.round(b / (steps[n] as number)))
  if (integers.some((q) => Math.abs(q) > 2 ** 30)) return
  const { graph } = node
  const ops = new Ops({ graph, before: bias.node, name: value.name, opset: opsetOf(graph) })
  const dims = [integers.length]
  const stored = ops.constant(Tensor.of(dtypes.int32, dims, integers).named(`${value.name}/int32`))
  const scale = ops.constant(Tensor.of(dtypes.float, dims, steps).named(`${value.name}/scale`))
  const zeroPoint = ops.constant(
    Tensor.of(
      dtypes.int32,
      dims,
      integers.map(() => 0),
    ).named(`${value.name}/zero`),
  )
  bias.node.setInput(bias.port, ops.DequantizeLinear(stored, scale, zeroPoint, 0))
  dropUnread(value)
}
