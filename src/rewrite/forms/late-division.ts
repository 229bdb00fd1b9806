import type { Node } from '../../ir/index.ts'
import { dtypes } from '../../ir/index.ts'
import { dtypeOf, rankOf } from '../../ops/index.ts'

/**
 * The product with values that may be divided in place of the probabilities of a Softmax1 node, `(e · V) / d = (e / d) · V`:
 * the quotient has a row of D numbers where the probabilities have one of T, usually more.
 *
 * It must be all that reads the probabilities, and sum over their last axis. In half precision `e · V`, up to T times the
 * largest value, could overflow.
 */
export function dividedProduct(node: Node): Node | undefined {
  const output = node.output()
  const [use, ...more] = output?.uses ?? []
  if (!output || !use || more.length > 0 || output.outputUses > 0) return undefined
  const { node: product, index } = use
  const [, values] = product.inputs
  const sums = product.op === 'MatMul' && index === 0 && (node.int('axis') ?? -1) === -1
  // A vector of values leaves no axis for the quotients to lie along.
  const besideRows = values !== undefined && (rankOf(values) ?? 1) > 1
  const dtype = dtypeOf(output) ?? dtypeOf(node.input(0)!)
  const exact = dtype === dtypes.float || dtype === dtypes.double
  return sums && besideRows && exact && product.graph === node.graph ? product : undefined
}
