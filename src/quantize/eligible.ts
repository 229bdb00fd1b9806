import type { Model, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import type { WeightProduct } from './products.ts'
import { findProducts } from './products.ts'
import type { Quantization } from './quantization.ts'

/** Products that read one value, and will read it quantized. */
export interface ProductGroup {
  readonly input: Value
  readonly products: readonly WeightProduct[]
}

/** DequantizeLinear takes one scale for each channel from this opset on. */
const perChannelOpset = 13

/**
 * The products to quantize, grouped by the value they read, in file order. Every other product with a constant weight is
 * left in float with its reason in the report.
 */
export function groupsToQuantize(model: Model, quantization: Quantization, facts: Facts): ProductGroup[] {
  const { products, float } = findProducts(model, facts)
  for (const { node, reason } of float) quantization.leave(node, reason)
  const groups = new Map<Value, WeightProduct[]>()
  for (const product of products) {
    quantization.reportOf(product.node)
    const reason = reasonForFloat(product, model, quantization)
    if (reason !== undefined) {
      quantization.leave(product.node, reason)
      continue
    }
    const group = groups.get(product.input)
    if (group) group.push(product)
    else groups.set(product.input, [product])
  }
  return [...groups].map(([input, products]) => ({ input, products }))
}

function reasonForFloat(product: WeightProduct, model: Model, quantization: Quantization): string | undefined {
  if (quantization.settings.keep(product.node.label)) return 'was asked to stay in float'
  const isStatic = quantization.settings.recipe === 'int8'
  if (isStatic && quantization.quantizerOf(product.input)) return undefined
  if (isStatic && model.opset < perChannelOpset)
    return `is in a model of opset ${model.opset}; scales by channel need opset ${perChannelOpset}`
  if (model.irVersion < 4) return `is in a file of IR version ${model.irVersion}, whose constants are graph inputs`
  if (!isStatic) return undefined
  const statistics = quantization.statisticsOf(product.input)
  if (!statistics) return `reads "${product.input.name}", which was not calibrated`
  const { min, max } = statistics.range
  if (!Number.isFinite(min) || !Number.isFinite(max)) return `reads "${product.input.name}", whose range is not finite`
  return undefined
}
