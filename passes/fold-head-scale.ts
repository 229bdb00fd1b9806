import type { Site } from '../src/attention/index.ts'
import type { Model, Tensor } from '../src/ir/index.ts'
import { mapElements } from '../src/ir/index.ts'
import { Facts } from '../src/ops/index.ts'
import type { WeightProduct } from '../src/quantize/index.ts'
import { findProducts, headColumnsOf, headRowsOf, scaled } from '../src/quantize/index.ts'
import { changesMaths, definePass, replaceConstant } from '../src/rewrite/index.ts'

/**
 * Multiplies every head by the number that was asked for, where it costs nothing: in the rows of the projection behind the
 * attention, else in the columns of the one its values come from.
 *
 * A fixed sink multiplies rows of attention by g < 1; 1/E[g] gives a head its mean back. Sites whose projections cannot be
 * reached stay as they are, and the report says so.
 */
export const foldHeadScale = definePass({
  name: 'fold-head-scale',
  stage: 'hopfield',
  summary: 'Multiply heads by what a fixed sink takes from them in the mean, in the weights of a projection.',
  effect: changesMaths,
  run(model, { sites, headScale, report }) {
    if (headScale === undefined) return 0
    const facts = new Facts()
    const { products } = findProducts(model, facts)
    const done = new Set(namesIn(model))
    const folded: string[] = []
    for (const site of sites) {
      if (site.verdict.kind !== 'attention' && site.verdict.kind !== 'fused') continue
      const factors = headScale(site)
      if (done.has(site.output.name) || factors?.every((c) => c === 1)) continue
      const where = factors === undefined ? undefined : fold(site, factors, products, facts)
      const entry = report.add(site)
      if (where === undefined) {
        const why =
          factors === undefined
            ? 'its rows were not observed by head'
            : 'no projection with a stored weight is in reach'
        report.warn('scale-not-folded', `"${site.node.label}" keeps the scale its sink gives it: ${why}`, {
          node: site.node.label,
          graph: site.graphPath,
        })
        continue
      }
      entry.notes.push(`heads are multiplied by ${spanOf(factors ?? [])} in the ${where}`)
      folded.push(site.output.name)
    }
    if (folded.length > 0) model.setMetadata(key, JSON.stringify([...done, ...folded]))
    return folded.length
  },
})

/** Sites that were scaled, by their probabilities: a model that is converted again is not scaled again. */
const key = 'outeffhop.scaled-heads'

function namesIn(model: Model): readonly string[] {
  const names: unknown = JSON.parse(model.metadata.get(key) ?? '[]')
  return Array.isArray(names) ? names.map(String) : []
}

/** Where the factors went, in words; undefined where nothing could be changed. */
function fold(
  site: Site,
  factors: readonly number[],
  products: readonly WeightProduct[],
  facts: Facts,
): string | undefined {
  const behind = products.flatMap((product) => {
    const heads = headRowsOf(product, site, factors.length, facts)
    return heads ? [{ product, heads }] : []
  })
  const [only, ...more] = behind
  if (only && more.length === 0) {
    const { node, tensor, inputAxis } = only.product
    replaceConstant(node, 1, scaled(tensor, factorsOf(only.heads, factors), inputAxis))
    return `rows of the weight of "${node.label}"`
  }
  const source = headColumnsOf(site, factors.length, products, facts)
  if (!source) return undefined
  const { node, tensor, inputAxis, bias } = source.product
  const byColumn = new Float64Array(tensor.dims[1 - inputAxis] as number).fill(1)
  for (const [i, column] of source.columns.entries()) byColumn[column] = factors[source.heads[i] as number] as number
  replaceConstant(node, 1, scaled(tensor, byColumn, inputAxis === 0 ? 1 : 0))
  if (bias) replaceConstant(bias.node, bias.port, timesColumns(bias.tensor, byColumn))
  return `columns of the weight of "${node.label}"`
}

function factorsOf(heads: Int32Array, factors: readonly number[]): Float64Array {
  return Float64Array.from(heads, (head) => factors[head] as number)
}

function timesColumns(tensor: Tensor, factors: Float64Array): Tensor {
  return mapElements(tensor, (b, n) => b * (factors[n] as number))
}

function spanOf(factors: readonly number[]): string {
  const [low, high] = [Math.min(...factors), Math.max(...factors)].map((c) => c.toFixed(3))
  return low === high ? `${low}` : `${low} to ${high}`
}
