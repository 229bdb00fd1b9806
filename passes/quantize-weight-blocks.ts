import type { Node, Value } from '../src/ir/index.ts'
import { attr } from '../src/ir/index.ts'
import { Facts } from '../src/ops/index.ts'
import type { BlockFormat, WeightProduct } from '../src/quantize/index.ts'
import { blockScales, groupsToQuantize, packedBlocks, transposed } from '../src/quantize/index.ts'
import { approximate, definePass, dropUnread, importDomain, Ops, opsetOf } from '../src/rewrite/index.ts'

const formats: Readonly<Record<string, BlockFormat>> = {
  'weights-int8': { bits: 8, size: 32 },
  'weights-int4': { bits: 4, size: 32 },
}

/** Level 4 of MatMulNBits: products of integers, the activation rounded to 8 bits block by block as it is read. */
const integerProducts = 4

/**
 * Stores weights in blocks of integers with a scale each and multiplies with com.microsoft.MatMulNBits; activations stay
 * float values of the graph. It needs no data.
 */
export const quantizeWeightBlocks = definePass({
  name: 'quantize-weight-blocks',
  stage: 'quantize',
  summary: 'Store weights in blocks of 4- or 8-bit integers, activations in float.',
  effect: approximate(0.2),
  run(model, { quantization }) {
    const format = formats[quantization?.settings.recipe ?? '']
    if (!quantization || !format) return 0
    const products = groupsToQuantize(model, quantization, new Facts()).flatMap((group) => group.products)
    const stored = new Map<Value, StoredBlocks>()
    for (const product of products) {
      const blocks = stored.get(product.weight) ?? store(product, format)
      stored.set(product.weight, blocks)
      const report = quantization.reportOf(product.node)
      replace(product, blocks, format)
      report.quantized = true
      report.reason = null
    }
    return products.length
  },
})

interface StoredBlocks {
  readonly integers: Value
  readonly scales: Value
}

function store({ node, weight, tensor, inputAxis }: WeightProduct, format: BlockFormat): StoredBlocks {
  const matrix = inputAxis === 1 ? tensor : transposed(tensor)
  const scales = blockScales(matrix, format)
  return {
    integers: node.graph.addInitializer(`${weight.name}/int${format.bits}`, packedBlocks(matrix, scales, format)),
    scales: node.graph.addInitializer(`${weight.name}/scales`, scales),
  }
}

function replace(product: WeightProduct, { integers, scales }: StoredBlocks, { bits, size }: BlockFormat): void {
  const { node, input, weight, tensor, inputAxis } = product
  const { graph } = node
  const attributes = new Map(
    Object.entries({
      K: tensor.dims[inputAxis] as number,
      N: tensor.dims[1 - inputAxis] as number,
      bits,
      block_size: size,
      accuracy_level: integerProducts,
    }).map(([name, value]) => [name, attr.int(value)] as const),
  )
  importDomain(graph, 'com.microsoft')
  const output = node.output() as Value
  const bias = node.opType === 'Gemm' ? node.input(2) : undefined
  const made = bias ? graph.newValue(`${output.name}/product`) : output
  const init = { name: node.name, opType: 'MatMulNBits', domain: 'com.microsoft', attributes }
  const before = node.next
  graph.remove(node)
  graph.insert(init, [input, integers, scales], [made], before)
  if (bias) addBias(made, bias, output, before)
  dropUnread(weight)
}

function addBias(product: Value, bias: Value, output: Value, before: Node | undefined): void {
  const { graph } = product
  const sum = new Ops({ graph, before, name: output.name, opset: opsetOf(graph) }).Add(product, bias)
  const add = sum.producer as Node
  add.setOutput(0, output)
  graph.removeValue(sum)
}
