import type { Graph, Model, Node, Value } from '../../src/ir/index.ts'
import { attr, Tensor } from '../../src/ir/index.ts'
import { dtypeOf, shapeOf } from '../../src/ops/index.ts'

/**
 * Replaces every internal `outeffhop::Softmax1` by its definition in standard operators, so that any runtime can run a
 * model that stands between two stages: with m = max(s, max x), `exp(x - m) / (exp(s - m) + Σ exp(x - m))`.
 * Written on its own, without the lowering it is compared with. Returns why it cannot, `undefined` when it could.
 */
export function spellOut(model: Model): string | undefined {
  for (const graph of model.graphs()) {
    for (const node of [...graph.nodes()]) {
      if (node.domain !== 'outeffhop') continue
      if (node.opType !== 'Softmax1') return `${node.op} has no definition here`
      const refusal = spellOutNode(node, model.opset)
      if (refusal !== undefined) return refusal
    }
  }
  return undefined
}

function spellOutNode(node: Node, opset: number): string | undefined {
  const { graph } = node
  const x = node.input(0)
  const y = node.output(0)
  const dtype = x && (dtypeOf(x) ?? dtypeOf(y as Value))
  if (x === undefined || y === undefined || dtype === undefined) return 'the type of the scores is unknown'
  const sink = sinkTensor(node, x, dtype)
  if (typeof sink === 'string') return sink
  const emit = (opType: string, inputs: Value[], attributes: Record<string, ReturnType<typeof attr.int>> = {}) => {
    const output = graph.newValue(`reference/${opType}`)
    graph.insert({ opType, attributes: new Map(Object.entries(attributes)) }, inputs, [output], node)
    return output
  }
  const reduce = (opType: string, value: Value, since: number) => {
    const axis = node.int('axis') ?? -1
    if (opset >= since) return emit(opType, [value, constant(graph, Tensor.int64([axis]))], { keepdims: attr.int(1) })
    return emit(opType, [value], { axes: attr.ints([axis]), keepdims: attr.int(1) } as never)
  }
  const s = constant(graph, sink)
  const m = emit('Max', [reduce('ReduceMax', x, 18), s])
  const e = emit('Exp', [emit('Sub', [x, m])])
  const rest = emit('Exp', [emit('Sub', [s, m])])
  const sum = emit('Add', [reduce('ReduceSum', e, 13), rest])
  node.setOutput(0, undefined)
  graph.insert({ opType: 'Div' }, [e, sum], [y], node)
  graph.remove(node)
  return undefined
}

function constant(graph: Graph, tensor: Tensor): Value {
  return graph.addInitializer('reference/constant', tensor)
}

/** The sink, broadcast against the scores reduced over their axis. */
function sinkTensor(node: Node, x: Value, dtype: number): Tensor | string {
  const values = node.input(1)?.initializer?.toNumbers() ?? [0]
  const axis = node.int('heads_axis')
  if (axis === undefined) return Tensor.of(dtype, [], values.slice(0, 1))
  const tail = Array.from({ length: -axis - 1 }, () => 1)
  if (node.int('heads_merged') !== 1) return Tensor.of(dtype, [values.length, ...tail], values)
  const length = shapeOf(x)?.at(axis)
  if (typeof length !== 'number') return 'the number of merged heads is not known'
  const repeated = Array.from({ length }, (_, i) => values[i % values.length] ?? 0)
  return Tensor.of(dtype, [length, ...tail], repeated)
}
