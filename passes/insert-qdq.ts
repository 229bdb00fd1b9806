import { dtypes, Tensor } from '../src/ir/index.ts'
import { Facts } from '../src/ops/index.ts'
import type { ProductGroup, Quantization } from '../src/quantize/index.ts'
import { groupsToQuantize, isStatic } from '../src/quantize/index.ts'
import { approximate, definePass, dropUnread, Ops, opsetOf } from '../src/rewrite/index.ts'

/**
 * Quantizes what weight products read, to u8 with one scale and zero point (for a compiler of explicit Q/DQ, to s8 or f8 with
 * one scale and none): one QuantizeLinear and DequantizeLinear that
 * all products of a value share. Other readers keep the float, and nothing is quantized on what products give, on residual
 * sums, on scores or on probabilities: that is the placement ONNX Runtime has int8 kernels for, at the least loss.
 */
export const insertQdq = definePass({
  name: 'insert-qdq',
  stage: 'quantize',
  summary: 'Quantize the activations that weight products read, once for all of them.',
  effect: approximate(0.05),
  run(model, { quantization }) {
    if (!quantization || !isStatic(quantization.settings.recipe) || quantization.settings.protocol) return 0
    const groups = groupsToQuantize(model, quantization, new Facts())
    return groups.filter((group) => insert(group, quantization)).length
  },
})

function insert({ input, products }: ProductGroup, quantization: Quantization): boolean {
  const affine = quantization.affineOf(input)
  const [first] = products
  if (!affine || !first || quantization.quantizerOf(input)) return false
  const { graph } = first.node
  const ops = new Ops({ graph, before: first.node, name: input.name, opset: opsetOf(graph) })
  const scale = ops.constant(Tensor.scalar(dtypes.float, affine.scale).named(`${input.name}/scale`))
  const zeroPoint = ops.constant(
    Tensor.scalar(quantization.activationType, affine.zeroPoint).named(`${input.name}/zero`),
  )
  const read = ops.DequantizeLinear(ops.QuantizeLinear(input, scale, zeroPoint), scale, zeroPoint)
  const origin = quantization.originOf(input)
  quantization.quantized(read, {
    origin,
    affine,
    channels: first.tensor.dims[first.inputAxis],
    product: first.node.label,
  })
  for (const { node } of products) node.setInput(0, read)
  dropUnread(input)
  return true
}
