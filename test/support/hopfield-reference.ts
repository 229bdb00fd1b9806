import type { Attribute, Graph, Node, Value } from '../../src/ir/index.ts'
import { attr, dtypes, Tensor } from '../../src/ir/index.ts'
import { dtypeOf } from '../../src/ops/index.ts'

/**
 * Opens every internal `outeffhop::HopfieldAttention` (one without a function body) into plain operators around an internal
 * Softmax1, written on its own: `softmax1(softcap(scale * q·kᵀ) + mask; sink) · v`.
 */
export function openHopfield(graph: Graph): void {
  for (const node of [...graph.nodes()])
    if (node.domain === 'outeffhop' && node.opType === 'HopfieldAttention' && node.attributes.has('form')) open(node)
}

function open(node: Node): void {
  const { graph } = node
  const [q, k, v, mask, sink] = node.inputs as [Value, Value, Value, Value?, Value?]
  const dtype = dtypeOf(q) ?? dtypes.float
  const emit = (opType: string, inputs: (Value | undefined)[], attributes: Record<string, Attribute> = {}, domain = ''): Value => {
    const output = graph.newValue(`reference/${opType}`)
    graph.insert({ opType, domain, attributes: new Map(Object.entries(attributes)) }, inputs, [output], node)
    return output
  }
  const constant = (tensor: Tensor): Value => graph.addInitializer('reference/constant', tensor)
  const inside = node.string('layout') === 'BSE'
  const turn = (x: Value): Value => emit('Transpose', [x], { perm: attr.ints([0, 2, 1, 3]) })
  const heads = (x: Value, count: string): Value =>
    inside ? turn(emit('Reshape', [x, constant(Tensor.int64([0, 0, node.int(count) ?? 1, -1]))])) : x
  const kt = emit('Transpose', [heads(k, 'kv_num_heads')], { perm: attr.ints([0, 1, 3, 2]) })
  const scaled = emit('Mul', [
    emit('MatMul', [heads(q, 'num_heads'), kt]),
    constant(Tensor.scalar(dtype, node.float('scale') ?? 1)),
  ])
  const masked = mask ? emit('Add', [scaled, mask]) : scaled
  const perHead = (sink?.initializer?.size ?? 1) > 1
  const p = emit(
    'Softmax1',
    [masked, sink],
    { axis: attr.int(-1), ...(perHead ? { heads_axis: attr.int(-3), heads_merged: attr.int(0) } : {}) },
    'outeffhop',
  )
  const context = emit('MatMul', [p, heads(v, 'kv_num_heads')])
  const output = node.output() as Value
  node.setOutput(0, undefined)
  const last = inside
    ? { opType: 'Reshape', inputs: [turn(context), constant(Tensor.int64([0, 0, -1]))] }
    : { opType: 'Identity', inputs: [context] }
  graph.insert({ opType: last.opType }, last.inputs, [output], node)
  graph.remove(node)
}
