import type { Contraction, Site } from '../src/attention/index.ts'
import type { Node, Value } from '../src/ir/index.ts'
import { dtypes, Tensor } from '../src/ir/index.ts'
import type { Facts } from '../src/ops/index.ts'
import type { Affine, Quantization } from '../src/quantize/index.ts'
import { asStored, float8Opset, rangeBehind } from '../src/quantize/index.ts'
import { approximate, definePass, Ops, opsetOf } from '../src/rewrite/index.ts'

/**
 * Quantizes queries, keys, probabilities and values to floats of 8 bits, right in front of the two products of attention,
 * where a compiler keeps its fused kernel with them: around a softmax in half precision, with head sizes that its kernels
 * take. All four or none: some of them alone lose the kernel, and so do integers.
 *
 * Probabilities are at most 1, under Softmax1 as under softmax, and get the step 1/448.
 */
export const quantizeAttention = definePass({
  name: 'quantize-attention',
  stage: 'quantize',
  summary: 'Quantize the operands of attention to float8 where fused kernels take them.',
  effect: approximate(0.1),
  run(model, { quantization, sites, facts, report }) {
    if (quantization?.settings.recipe !== 'fp8' || quantization.settings.explicit === undefined) return 0
    const found = sites
      .filter((site) => site.graph === model.graph && kinds.has(site.verdict.kind) && site.input !== undefined)
      .map((site) => (model.opset < float8Opset ? tooOld : operandsOf(site, quantization, facts)))
    const made = found.filter((operands) => typeof operands !== 'string')
    for (const operand of made.flat()) insert(operand, quantization)
    for (const reason of new Set(found.filter((reason) => typeof reason === 'string'))) {
      const count = found.filter((other) => other === reason).length
      report.warn('attention-not-quantized', `${count} of ${found.length} attentions are not quantized: ${reason}`)
    }
    return made.length
  },
})

const kinds = new Set(['attention', 'already-softmax1'])

const tooOld = `float8 needs opset ${float8Opset}`

/** What a product of attention reads, and the step it is quantized with. */
interface Operand {
  readonly node: Node
  readonly port: number
  readonly value: Value
  readonly affine: Affine
}

/** The four operands, or why they stay as they are. */
function operandsOf(site: Site, quantization: Quantization, facts: Facts): readonly Operand[] | string {
  const { explicit, alpha, keep } = quantization.settings
  const [score, ...scores] = site.scores
  const [value, ...values] = site.values
  const single = score && value && scores.length + values.length === 0
  if (!single || site.node.op !== 'Softmax' || score.node.op !== 'MatMul' || value.node.op !== 'MatMul')
    return 'it is not one Softmax between two MatMul'
  const reached = value.node.input(value.otherInput) as Value
  if (!isPassedOn(site.output, reached)) return 'something is between its softmax and the values'
  if (explicit === dtypes.float) return 'kernels for float8 want --float16 or --bfloat16 around them'
  if (alpha !== undefined) return 'outliers were moved through its values after they were calibrated'
  if (keep(site.node.label)) return 'it was asked to stay'
  const objection = sizeObjection(score, facts)
  if (objection !== undefined) return objection
  const operands: Operand[] = []
  for (const { node, otherInput, dataInput } of [score, value])
    for (const port of [otherInput, dataInput]) {
      const read = node.input(port) as Value
      const affine = read === reached ? probabilities(explicit ?? dtypes.float) : affineOf(read, quantization, facts)
      if (!affine) return `"${read.name}" was not calibrated; calibrate with --all`
      operands.push({ node, port, value: read, affine })
    }
  return operands
}

const smallestHead = 32
const largestHead = 256
const fewestKeys = 32

/**
 * Why the sizes of an attention have no fused kernel for float8, where half precision may have one. A key is [T, D] behind a
 * transpose: [D, T].
 *
 * Source: heads as the developer guide has them; lengths by building with TensorRT-RTX 1.7.1 for SM 8.9.
 */
function sizeObjection({ node, dataInput, otherInput }: Contraction, facts: Facts): string | undefined {
  const sizeAt = (port: number, axis: number) => facts.size(node.input(port) as Value, axis)
  const [inner, outer] = [(port: number) => (port === 0 ? -1 : -2), (port: number) => (port === 0 ? -2 : -1)]
  const [head, queries, keys] = [
    sizeAt(otherInput, inner(otherInput)),
    sizeAt(otherInput, outer(otherInput)),
    sizeAt(dataInput, outer(dataInput)),
  ]
  if (typeof head !== 'number' || head % 16 !== 0 || head < smallestHead || head > largestHead)
    return `kernels for float8 want heads of a multiple of 16 from ${smallestHead} to ${largestHead}, not ${head ?? 'unknown'}`
  if (typeof queries !== 'number' || typeof keys !== 'number')
    return 'kernels for float8 want lengths that the model states, and its lengths are dynamic'
  return keys < fewestKeys ? `kernels for float8 want at least ${fewestKeys} keys` : undefined
}

/** Whether a value is another one, or a cast of it. */
function isPassedOn(from: Value, to: Value): boolean {
  let at: Value | undefined = to
  while (at && at !== from && (at.producer?.op === 'Cast' || at.producer?.op === 'Identity')) at = at.producer.input(0)
  return at === from
}

function probabilities(dtype: number): Affine {
  return { scale: asStored(1 / 448, dtype), zeroPoint: 0 }
}

function affineOf(value: Value, quantization: Quantization, facts: Facts): Affine | undefined {
  const range = rangeBehind(value, quantization, facts)
  return range && quantization.affineOfRange(range)
}

function insert({ node, port, value, affine }: Operand, quantization: Quantization): void {
  const { graph } = node
  const ops = new Ops({ graph, before: node, name: value.name, opset: opsetOf(graph) })
  const scale = ops.constant(Tensor.scalar(dtypes.float, affine.scale).named(`${value.name}/scale`))
  const zero = ops.constant(Tensor.scalar(quantization.activationType, 0).named(`${value.name}/zero`))
  node.setInput(port, ops.DequantizeLinear(ops.QuantizeLinear(value, scale, zero), scale, zero))
}
