import type { Node, Value } from '../../ir/index.ts'
import { dtypeOf, rankOf } from '../../ops/index.ts'
import { Ops } from '../ops.ts'
import { opsetOf } from '../opset.ts'
import { sinkOf, sinkValue } from '../softmax1-node.ts'

/**
 * Spells a Softmax1 node with plain operators, in its own element type:
 *
 * m = max(s, max x),  e = exp(x - m),  p = e / (Σ e + exp(s - m))
 *
 * m is finite even where a whole row is -inf, so such a row becomes exactly 0. The node is removed.
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
  node.setOutput(0, undefined)
  const divide = graph.insert(
    { name: node.name, opType: 'Div', docString: node.docString, metadata: node.metadata },
    [e, denominator],
    [output],
    node,
  )
  const sinkInput = node.input(1)
  graph.remove(node)
  if (sinkInput && !sinkInput.isUsed) sinkInput.graph.removeValue(sinkInput)
  return divide
}

/** max(s, rowMax). Max broadcasts from opset 8 on; before, the same is relu(rowMax - s) + s. */
function maximum(ops: Ops, rowMax: Value, s: Value | undefined): Value {
  if (!s) return ops.Relu(rowMax)
  return ops.place.opset >= 8 ? ops.Max(rowMax, s) : ops.Add(ops.Relu(ops.Sub(rowMax, s)), s)
}
