import type { Model, ModelFunction, Node, Value } from '../../ir/index.ts'
import { attr, Graph, Tensor } from '../../ir/index.ts'
import type { Workbench } from '../fused/workbench.ts'
import type { SinkLogits } from '../fused/zero-row.ts'
import { Ops } from '../ops.ts'
import { hopfieldOp } from './node.ts'

/**
 * Keeps the node, on heads of their own, and gives the model a function that defines it in the model's opset: a runtime with
 * a kernel for `outeffhop::HopfieldAttention` uses that, any other runs the body.
 *
 * The function takes all five inputs: a mask that is missing is one zero, the sink is [H, 1, 1] or [1, 1, 1].
 */
export function lowerToFunction(
  node: Node,
  { mask, sink }: { readonly mask: Value | undefined; readonly sink: SinkLogits },
  { op, dtype }: Workbench,
): Node {
  const logits = typeof sink === 'number' ? [sink] : sink
  const old = node.input(4)
  node.setInput(3, mask ?? op.constant(Tensor.of(dtype, [1, 1, 1, 1], [0])))
  node.setInput(4, op.constant(Tensor.of(dtype, [logits.length, 1, 1], logits)))
  if (old && !old.isUsed) old.graph.removeValue(old)
  for (const name of [...node.attributes.keys()]) if (name !== 'scale') node.setAttribute(name, undefined)
  if (node.graph.model) define(node.graph.model, op.place.opset)
  return node
}

/** What TensorRT's parser looks a plugin up by; with the first of them it asks for a plugin before it takes the function. */
const pluginAttributes = { plugin_namespace: 'outeffhop', plugin_version: '1' }

/** Has a runtime that takes plugins ask for one under the name of the node, before it expands the function. */
export function markForPlugin(node: Node): Node {
  for (const [name, value] of Object.entries(pluginAttributes)) node.setAttribute(name, attr.string(value))
  return node
}

function define(model: Model, opset: number): void {
  const { domain, opType: name } = hopfieldOp
  if (!model.functions.some((fn) => fn.domain === domain && fn.name === name)) model.addFunction(definition(opset))
  // Functions exist from IR version 8 on.
  if (model.irVersion >= 8) return
  model.irVersion = 8
  model.headerEdited = true
}

/**
 * `y = (exp(x - m) · v) / (exp(s - m) + Σ exp(x - m))` with `x = scale * q·kᵀ + mask` and `m = max(s, max x)`: finite also where
 * a row is -inf, and divided last, where the tensor is small.
 */
function definition(opset: number): Omit<ModelFunction, 'model' | 'origin' | 'edited'> {
  const body = new Graph()
  const [q, k, v, mask, sink] = ['q', 'k', 'v', 'mask', 'sink'].map((name) => {
    const value = body.value(name)
    body.addInput(value)
    return value
  }) as [Value, Value, Value, Value, Value]
  const op = new Ops({ graph: body, before: undefined, name: 'hopfield', opset })
  const scale = op.CastLike(op.FloatOf('scale'), q)
  const x = op.Add(op.MatMul(op.Mul(q, scale), op.Transpose(k, [0, 1, 3, 2])), mask)
  const m = op.Max(op.ReduceMax(x, -1), sink)
  const e = op.Exp(op.Sub(x, m))
  const total = op.Add(op.ReduceSum(e, -1), op.Exp(op.Sub(sink, m)))
  const y = body.value('y')
  body.insert({ name: 'hopfield/y', opType: 'Div' }, [op.MatMul(e, v), total], [y], undefined)
  body.setOutput(0, y)
  return {
    domain: hopfieldOp.domain,
    name: hopfieldOp.opType,
    overload: '',
    // A checker refuses attributes that the function does not declare.
    attributes: ['scale', ...Object.keys(pluginAttributes)],
    defaults: new Map(),
    opsetImports: new Map([['', opset]]),
    body,
  }
}
