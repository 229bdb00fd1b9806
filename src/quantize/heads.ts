import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { columnsOf, layoutAt } from './columns.ts'
import { Layout } from './layout.ts'
import type { WeightProduct } from './products.ts'

/** What is known of a site whose heads are looked for in the weights around it. */
export interface HeadSite {
  /** The probabilities. */
  readonly output: Value
  /** Where heads lie in the scores; undefined where they are not known. */
  readonly heads: { readonly axis: number } | undefined
  /** The products of probabilities and values; `dataInput` is where the values are, `otherInput` where the probabilities. */
  readonly values: readonly Contraction[]
}

interface Contraction {
  readonly node: Node
  readonly dataInput: number
  readonly otherInput: number
}

/** Columns of a product that hold the values of heads. */
export interface HeadColumns {
  readonly product: WeightProduct
  readonly columns: Int32Array
  /** The head of each. */
  readonly heads: Int32Array
}

/**
 * The head each row of a weight multiplies, where the data of the product is the context of the site and nobody else reads
 * it; undefined otherwise. With a `count` of 1 all rows are of head 0.
 */
export function headRowsOf(
  { node, input, tensor, inputAxis }: WeightProduct,
  site: HeadSite,
  count: number,
  facts: Facts,
): Int32Array | undefined {
  const context = contractionOf(site)?.node.output()
  const layout = context && layoutAt(input, new Set([node]), context, facts)
  if (!layout) return undefined
  if (count === 1) return new Int32Array(tensor.dims[inputAxis] as number)
  return site.heads && layout.placesOn(site.heads.axis, count)
}

/** The columns that the values of each head are, and the product they are columns of; undefined where that is not one. */
export function headColumnsOf(
  site: HeadSite,
  count: number,
  products: readonly WeightProduct[],
  facts: Facts,
): HeadColumns | undefined {
  const contraction = contractionOf(site)
  const value = contraction?.node.input(contraction.dataInput)
  const shape = value && facts.shape(value)
  const layout = shape && site.heads && Layout.ofHeads(shape, site.heads.axis, count)
  const last = shape?.at(-1)
  if (!contraction || !value || !layout || typeof last !== 'number') return undefined
  const channels = count * last
  const byNode = new Map(products.map((product) => [product.node, product]))
  const source = columnsOf(value, new Set([contraction.node]), { layout, channels }, byNode, facts)
  // What a Gemm adds has to be scaled too.
  const addsMore = source?.product.node.op === 'Gemm' && source.product.node.input(2) && !source.product.bias
  if (!source || addsMore) return undefined
  return { ...source, heads: Int32Array.from({ length: channels }, (_, c) => Math.floor(c / last)) }
}

/** The one product of probabilities and values, where heads lie on the same axis in both. */
function contractionOf({ output, values }: HeadSite): Contraction | undefined {
  const [only, ...more] = values
  if (only?.node.op !== 'MatMul' || more.length > 0) return undefined
  let at = only.node.input(only.otherInput)
  while (at && at !== output) at = keepsAxes.has(at.producer?.op ?? '') ? at.producer?.input(0) : undefined
  return at && only
}

/** Operators between probabilities and the product with values that leave heads where they are. */
const keepsAxes = new Set(['Identity', 'Dropout', 'Cast'])
