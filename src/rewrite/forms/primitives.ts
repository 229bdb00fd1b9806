import type { Node, Value } from '../../ir/index.ts'
import { dtypeOf, rankOf } from '../../ops/index.ts'
import { Ops } from '../ops.ts'
import { opsetOf } from '../opset.ts'
import { sinkOf, sinkValue } from '../softmax1-node.ts'
import { dividedProduct } from './late-division.ts'

/**
 * Spells a Softmax1 node with plain operators, in its own element type:
 *
 * m = max(s, max x),  e = exp(x - m),  p = e / (Σ e + exp(s - m))
 *
 * m is finite even where a whole row is -inf, so such a row becomes exactly 0. Where nothing but the product with values
 * reads p, that product is divided: y = (e · V) / (Σ e + exp(s - m)), and e takes the name of p. The node is removed; returns
 * the division.
 */
export function lowerToPrimitives(node: Node): Node {
  const { graph } = node
  const x = node.input(0)!
  const output = node.output()!
  const dtype = dtypeOf(x) ?? output.dtype
  const sink = sinkOf(node)
  const opset = opsetOf(graph)
  const ops = new Ops({ graph, before: node, name: node.name || output.name, opset })
  // Negative axes of reductions are legal from opset 11 on.
  const rank = opset < 11 ? rankOf(x) : undefined
  const axis = (node.int('axis') ?? -1) + (rank ?? 0)
  const rowMax = ops.ReduceMax(x, axis)
  const zero = !sink.heads && sink.values[0] === 0
  const s = zero ? undefined : sinkValue(ops, sink, x, dtype)
  const m = maximum(ops, rowMax, s)
  const e = ops.Exp(ops.Sub(x, m))
  const rest = ops.Exp(s ? ops.Sub(s, m) : ops.Neg(m))
  const denominator = ops.Add(ops.ReduceSum(e, axis), rest)
  const divide = divideBy(denominator, e, node, dividedProduct(node))
  const sinkInput = node.input(1)
  graph.remove(node)
  if (sinkInput && !sinkInput.isUsed) sinkInput.graph.removeValue(sinkInput)
  return divide
}

/** Divides the exponentials, or what a product makes of them; the division is `node` in another spelling. */
function divideBy(denominator: Value, exponentials: Value, node: Node, product: Node | undefined): Node {
  const { graph, name, docString, metadata } = node
  const output = node.output()!
  node.setOutput(0, undefined)
  const fields = { name, opType: 'Div', docString, metadata }
  if (!product) return graph.insert(fields, [exponentials, denominator], [output], node)
  exponentials.producer!.setOutput(0, output)
  for (const use of [...exponentials.uses]) use.node.setInput(use.index, output)
  graph.removeValue(exponentials)
  const context = product.output()!
  const undivided = graph.newValue(`${context.name}/undivided`)
  product.setOutput(0, undivided)
  return graph.insert(fields, [undivided, denominator], [context], product.next)
}

/** max(s, rowMax). Max broadcasts from opset 8 on; before, the same is relu(rowMax - s) + s. */
function maximum(ops: Ops, rowMax: Value, s: Value | undefined): Value {
  if (!s) return ops.Relu(rowMax)
  return ops.place.opset >= 8 ? ops.Max(rowMax, s) : ops.Add(ops.Relu(ops.Sub(rowMax, s)), s)
}
