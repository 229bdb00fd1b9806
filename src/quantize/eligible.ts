import type { Model, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import type { WeightProduct } from './products.ts'
import { findProducts } from './products.ts'
import type { Quantization } from './quantization.ts'
import { isStatic } from './recipes.ts'

/** Products that read one value, and will read it quantized. */
export interface ProductGroup {
  readonly input: Value
  readonly products: readonly WeightProduct[]
}

/** DequantizeLinear takes one scale for each channel from this opset on. */
export const perChannelOpset = 13

/** There is float8 from this opset on, and Q/DQ of half precision. */
export const float8Opset = 19

/** Rows and columns of the smallest weight that explicit quantization pays for. Source: ModelOpt leaves smaller ones. */
const leastExplicit = 16

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
  const { recipe, explicit } = quantization.settings
  const observes = isStatic(recipe)
  if (explicit !== undefined && Math.min(...product.tensor.dims) < leastExplicit)
    return `has a weight of ${product.tensor.dims.join(' x ')}, which is too small for tensor cores of 8 bits`
  if (observes && quantization.quantizerOf(product.input)) return undefined
  const needed = recipe === 'fp8' ? float8Opset : perChannelOpset
  if (observes && model.opset < needed)
    return `is in a model of opset ${model.opset}; ${recipe === 'fp8' ? 'float8' : 'scales by channel'} need opset ${needed}`
  if (model.irVersion < 4) return `is in a file of IR version ${model.irVersion}, whose constants are graph inputs`
  if (!observes) return undefined
  const statistics = quantization.statisticsOf(product.input)
  if (!statistics) return `reads "${product.input.name}", which was not calibrated`
  const { min, max } = statistics.range
  if (!Number.isFinite(min) || !Number.isFinite(max)) return `reads "${product.input.name}", whose range is not finite`
  return undefined
}
