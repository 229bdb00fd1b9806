import { onnx } from 'onnx-proto'

/**
 * An independent rewrite: on the named Softmax nodes of a model, a column that holds `sink` is appended to the scores, the
 * softmax taken, and the column sliced off. For single precision and opset 9 and later. Knows nothing of the project; works on onnx-proto objects.
 */
export function appendSink(bytes: Uint8Array, names: ReadonlySet<string>, sink: number): Uint8Array {
  const model = onnx.ModelProto.decode(bytes)
  const opset = Number(model.opsetImport.find(({ domain }) => !domain)?.version ?? 1)
  const graphs = [model.graph as onnx.IGraphProto]
  let done = 0
  for (let graph = graphs.pop(); graph; graph = graphs.pop()) {
    const nodes: onnx.INodeProto[] = []
    for (const node of graph.node ?? []) {
      for (const a of node.attribute ?? []) if (a.g) graphs.push(a.g)
      if (node.opType !== 'Softmax' || !names.has(node.output?.[0] ?? '')) nodes.push(node)
      else {
        nodes.push(...withSink(node, sink, done++, opset))
      }
    }
    graph.node = nodes
  }
  if (done !== names.size) throw new Error(`the oracle rewrote ${done} of ${names.size} softmax nodes`)
  return onnx.ModelProto.encode(model as onnx.ModelProto).finish()
}

function withSink(node: onnx.INodeProto, sink: number, n: number, opset: number): onnx.INodeProto[] {
  const [x, y] = [node.input?.[0] as string, node.output?.[0] as string]
  const axis = Number(node.attribute?.find((a) => a.name === 'axis')?.i ?? -1)
  const v = (part: string) => `oracle_${n}_${part}`
  const op = (
    opType: string,
    input: string[],
    output: string,
    attribute: onnx.IAttributeProto[] = [],
  ): onnx.INodeProto => ({
    opType,
    input,
    output: [output],
    attribute,
  })
  const ints = (name: string, values: number[]): onnx.INodeProto =>
    op('Constant', [], v(name), [
      {
        name: 'value',
        type: onnx.AttributeProto.AttributeType.TENSOR,
        t: { dataType: 7, dims: [values.length], int64Data: values },
      },
    ])
  const { INT, INTS, TENSOR } = onnx.AttributeProto.AttributeType
  const along = [{ name: 'axis', type: INT, i: axis }]
  const column = { dataType: 1, dims: [1], floatData: [sink] }
  const slice = (input: string, end: 'one' | 'end', output: string): onnx.INodeProto => {
    if (opset >= 10) return op('Slice', [input, v('zero'), v(end), v('axis')], output)
    const list = (name: string, value: number) => ({ name, type: INTS, ints: [value] })
    return op('Slice', [input], output, [list('starts', 0), list('ends', end === 'one' ? 1 : -1), list('axes', axis)])
  }
  return [
    ints('zero', [0]),
    ints('one', [1]),
    ints('axis', [axis]),
    ints('end', [-1]),
    slice(x, 'one', v('first')),
    op('Shape', [v('first')], v('shape')),
    op('ConstantOfShape', [v('shape')], v('column'), [{ name: 'value', type: TENSOR, t: column }]),
    op('Concat', [x, v('column')], v('scores'), along),
    op('Softmax', [v('scores')], v('all'), along),
    slice(v('all'), 'end', y),
  ]
}
