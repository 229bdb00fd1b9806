import type { Node, Value } from '../src/ir/index.ts'
import { dtypeName, dtypes, Tensor } from '../src/ir/index.ts'
import { Facts } from '../src/ops/index.ts'
import type { ExplicitConvolution, Quantization } from '../src/quantize/index.ts'
import {
  findExplicitConvolutions,
  float8Opset,
  largestMagnitude,
  perChannelOpset,
  quantizedOn,
  rangeBehind,
} from '../src/quantize/index.ts'
import { approximate, definePass, dropUnread, Ops, opsetOf } from '../src/rewrite/index.ts'

/**
 * Quantizes what convolutions read, and their weights with one scale for each output channel, for a compiler of explicit
 * Q/DQ. What a convolution gives stays as it is; of a residual sum behind it the other operand is quantized, so that the sum
 * is computed with the product.
 */
export const quantizeConvolutionInputs = definePass({
  name: 'quantize-convolution-inputs',
  stage: 'quantize',
  summary: 'Quantize what convolutions read and their weights, where a compiler reads Q/DQ as they stand.',
  effect: approximate(0.05),
  run(model, { quantization, report }) {
    if (quantization?.settings.explicit === undefined) return 0
    const facts = new Facts()
    const { convolutions, float } = findExplicitConvolutions(model, facts)
    if (!quantization.settings.convolutions) {
      const left = `${convolutions.length} convolutions stay in float; --prefer size quantizes them, at a loss of accuracy`
      if (convolutions.length > 0) report.warn('convolutions-in-float', left)
      return 0
    }
    for (const { node, reason } of float) quantization.leave(node, reason)
    const quantizers = new Quantizers(quantization, facts)
    const made = convolutions.filter((conv) => quantize(conv, model.opset, quantizers, quantization))
    for (const { node } of made) quantizeResidual(node, quantizers)
    return made.length
  },
})

/** Quantized values, one quantizer each, those of products among them. */
class Quantizers {
  readonly #quantization: Quantization
  readonly #facts: Facts
  readonly #made = new Map<Value, Value>()

  constructor(quantization: Quantization, facts: Facts) {
    this.#quantization = quantization
    this.#facts = facts
    for (const read of quantization.quantizers.keys()) {
      const source = read.producer?.input(0)?.producer?.input(0)
      if (source) this.#made.set(source, read)
    }
  }

  /** The dequantized form of a value, for a reader; undefined where nothing is known of its range. */
  of(value: Value, reader: Node): Value | undefined {
    const known = this.#made.get(value)
    const range = known ? undefined : rangeBehind(value, this.#quantization, this.#facts)
    if (!range) return known
    const { graph } = reader
    const { scale: step } = this.#quantization.affineOfRange(range)
    const before = value.producer?.graph === graph ? value.producer.next : [...graph.nodes()][0]
    const ops = new Ops({ graph, before, name: value.name, opset: opsetOf(graph) })
    const scale = ops.constant(Tensor.scalar(dtypes.float, step).named(`${value.name}/scale`))
    const zero = ops.constant(Tensor.scalar(this.#quantization.activationType, 0).named(`${value.name}/zero`))
    const read = ops.DequantizeLinear(ops.QuantizeLinear(value, scale, zero), scale, zero)
    this.#made.set(value, read)
    return read
  }
}

function quantize(
  conv: ExplicitConvolution,
  opset: number,
  quantizers: Quantizers,
  quantization: Quantization,
): boolean {
  const { node, input } = conv
  const { recipe, keep } = quantization.settings
  const report = quantization.reportOf(node)
  const needed = recipe === 'fp8' ? float8Opset : perChannelOpset
  if (keep(node.label)) quantization.leave(node, 'was asked to stay in float')
  else if (opset < needed) quantization.leave(node, `is in a model of opset ${opset}; it needs opset ${needed}`)
  else {
    const read = quantizers.of(input, node)
    if (!read) quantization.leave(node, `reads "${input.name}", which was not calibrated`)
    else {
      node.setInput(0, read)
      storeWeight(conv, quantization)
      Object.assign(report, { quantized: true, reason: null })
      return true
    }
  }
  return false
}

function storeWeight({ node, weight, axis }: ExplicitConvolution, quantization: Quantization): void {
  const { graph } = node
  const { grid } = quantization
  const old = node.input(1) as Value
  const scales = largestMagnitude(weight, axis).map((magnitude) => quantization.weightScale(magnitude))
  const ops = new Ops({ graph, before: node, name: old.name, opset: opsetOf(graph) })
  const dims = [scales.length]
  const stored = graph.addInitializer(`${old.name}/${dtypeName(grid.dtype)}`, quantizedOn(grid, weight, scales, axis))
  const scale = ops.constant(Tensor.of(dtypes.float, dims, scales).named(`${old.name}/scale`))
  const zero = ops.constant(Tensor.of(grid.dtype, dims, new Int8Array(scales.length)).named(`${old.name}/zero`))
  node.setInput(1, ops.DequantizeLinear(stored, scale, zero, axis))
  dropUnread(old)
}

/** The operand of a sum that is not the result of the convolution. */
function quantizeResidual(conv: Node, quantizers: Quantizers): void {
  const [sum, ...more] = conv.output()?.consumers ?? []
  if (sum?.op !== 'Add' || more.length > 0 || sum.graph !== conv.graph) return
  const port = sum.input(0) === conv.output() ? 1 : 0
  const residual = sum.input(port)
  if (!residual || residual === conv.output() || residual.producer?.op === 'DequantizeLinear') return
  // Of two convolutions that are added, one stays the product that the sum is computed with.
  const other = residual.producer
  if (other?.op === 'Conv' && [...sum.inputs].some((value) => value?.producer?.op === 'DequantizeLinear')) return
  const read = quantizers.of(residual, sum)
  if (read) sum.setInput(port, read)
}
