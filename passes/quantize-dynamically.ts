import type { Node, Value } from '../src/ir/index.ts'
import { dtypes, Tensor } from '../src/ir/index.ts'
import { Facts } from '../src/ops/index.ts'
import type { ProductGroup, Quantization, WeightProduct } from '../src/quantize/index.ts'
import {
  contract,
  groupsToQuantize,
  largestMagnitude,
  quantized,
  signedScale,
  transposed,
  weightLimit,
} from '../src/quantize/index.ts'
import { approximate, definePass, dropUnread, Ops, opsetOf, replaceConstant } from '../src/rewrite/index.ts'

/**
 * Quantizes what weight products read when the model runs, by the range of each batch: DynamicQuantizeLinear once for all
 * products of a value, then MatMulInteger, Cast and Mul with both scales, in the order ONNX Runtime fuses.
 *
 * It needs no data. With a calibration, biases take up what rounding does to the weights, in the mean.
 */
export const quantizeDynamically = definePass({
  name: 'quantize-dynamically',
  stage: 'quantize',
  summary: 'Quantize products with a weight by ranges that are taken while the model runs.',
  effect: approximate(0.05),
  run(model, { quantization }) {
    if (quantization?.settings.recipe !== 'int8-dynamic') return 0
    const groups = groupsToQuantize(model, quantization, new Facts())
    const weights = new Map<Value, StoredWeight>()
    for (const group of groups) quantizeGroup(group, weights, quantization)
    return groups.length
  },
})

/** A weight as [K, N] integers, with one scale for each column. */
interface StoredWeight {
  readonly tensor: Tensor
  readonly integers: Tensor
  readonly scales: Float64Array
  readonly value: Value
  readonly scale: Value
}

function quantizeGroup({ input, products }: ProductGroup, weights: Map<Value, StoredWeight>, plan: Quantization): void {
  const first = (products[0] as WeightProduct).node
  const ops = opsBefore(first, input.name)
  const [integers, scale, zeroPoint] = ops.DynamicQuantizeLinear(input)
  for (const product of products) {
    const weight = weights.get(product.weight) ?? store(product, plan)
    weights.set(product.weight, weight)
    if (plan.settings.biasCorrection) correctBias(product, weight, plan)
    replace(product, weight, { integers, scale, zeroPoint })
    const report = plan.reportOf(product.node)
    report.quantized = true
    report.reason = null
  }
}

function store({ node, weight, tensor, inputAxis }: WeightProduct, { settings }: Quantization): StoredWeight {
  const matrix = inputAxis === 0 ? tensor : transposed(tensor)
  const limit = weightLimit(settings.reduceRange)
  const scales = largestMagnitude(matrix, 1).map((magnitude) => signedScale(magnitude, limit))
  const integers = quantized(matrix, scales, 1, limit)
  const value = node.graph.addInitializer(`${weight.name}/int8`, integers)
  const ops = opsBefore(node, weight.name)
  const scale = ops.constant(Tensor.of(dtypes.float, [scales.length], scales).named(`${weight.name}/scale`))
  return { tensor: matrix, integers, scales, value, scale }
}

/** Adds `E[x] (W - Wq)` to the bias. */
function correctBias(
  { bias, input }: WeightProduct,
  { tensor, integers, scales }: StoredWeight,
  plan: Quantization,
): void {
  const channels = plan.statisticsOf(input)?.channels
  if (!bias || channels?.axis !== -1) return
  const exact = contract(channels.mean, tensor, 0)
  const rounded = contract(channels.mean, integers, 0)
  const change = (b: number, n: number) => b + (exact[n] as number) - (rounded[n] as number) * (scales[n] as number)
  const corrected = Float64Array.from(bias.tensor.toNumbers(bias.tensor.size), change)
  replaceConstant(bias.node, bias.port, Tensor.of(dtypes.float, bias.tensor.dims, corrected))
}

interface Activation {
  readonly integers: Value
  readonly scale: Value
  readonly zeroPoint: Value
}

/** `Cast(q Wq) * (sx * sw)`, and the bias of a Gemm, in the place of a product. */
function replace(
  { node, weight }: WeightProduct,
  stored: StoredWeight,
  { integers, scale, zeroPoint }: Activation,
): void {
  const ops = opsBefore(node, node.name || (node.output()?.name ?? ''))
  const product = ops.Cast(ops.MatMulInteger(integers, stored.value, zeroPoint), dtypes.float)
  const real = ops.Mul(product, ops.Mul(scale, stored.scale))
  const bias = node.opType === 'Gemm' ? node.input(2) : undefined
  takeOver(node, bias ? ops.Add(real, bias) : real)
  dropUnread(weight)
}

/** Gives the output of `old` to the node that made `made`, and removes `old`. */
function takeOver(old: Node, made: Value): void {
  const output = old.output() as Value
  const producer = made.producer as Node
  old.graph.remove(old)
  producer.setOutput(0, output)
  old.graph.removeValue(made)
}

function opsBefore(node: Node, name: string): Ops {
  return new Ops({ graph: node.graph, before: node, name, opset: opsetOf(node.graph) })
}
