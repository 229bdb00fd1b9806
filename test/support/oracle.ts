import { onnx } from 'onnx-proto'

/**
 * An independent rewrite: on the named Softmax nodes of a model, a column that holds `sink` is appended to the scores, the
 * softmax taken, and the column sliced off. Named Attention nodes are spelled out first. For single precision and opset 9
 * and later. Knows nothing of the project; works on onnx-proto objects.
 */
export function appendSink(bytes: Uint8Array, names: ReadonlySet<string>, sink: number): Uint8Array {
  const model = onnx.ModelProto.decode(bytes)
  const opset = Number(model.opsetImport.find(({ domain }) => !domain)?.version ?? 1)
  const graphs: { node?: onnx.INodeProto[] | null }[] = [model.graph as onnx.IGraphProto, ...model.functions]
  let done = 0
  for (let graph = graphs.pop(); graph; graph = graphs.pop()) {
    const nodes: onnx.INodeProto[] = []
    for (const node of graph.node ?? []) {
      for (const a of node.attribute ?? []) if (a.g) graphs.push(a.g)
      const named = names.has(node.output?.[0] ?? '')
      if (named && node.opType === 'Softmax') nodes.push(...withSink(node, sink, done++, opset))
      else if (named && node.opType === 'Attention') nodes.push(...attentionWithSink(node, sink, done++, opset))
      else nodes.push(node)
    }
    graph.node = nodes
  }
  if (done !== names.size) throw new Error(`the oracle rewrote ${done} of ${names.size} softmax nodes`)
  return onnx.ModelProto.encode(model as onnx.ModelProto).finish()
}

type Op = (opType: string, input: string[], output: string, attribute?: onnx.IAttributeProto[]) => onnx.INodeProto

const op: Op = (opType, input, output, attribute = []) => ({ opType, input, output: [output], attribute })

/** Attention on [B, H, S, D] with a mask of booleans or none, by its formula; throws at anything else. */
function attentionWithSink(node: onnx.INodeProto, sink: number, n: number, opset: number): onnx.INodeProto[] {
  const [q = '', k = '', v = '', mask = '', ...more] = node.input ?? []
  const given = new Map((node.attribute ?? []).map((a) => [a.name, a]))
  const plain = ['is_causal', 'qk_matmul_output_mode', 'softcap', 'softmax_precision'].every(
    (name) => Number(given.get(name)?.i ?? 0) === 0 && (given.get(name)?.f ?? 0) === 0,
  )
  if (more.some(Boolean) || !plain || node.output?.length !== 1)
    throw new Error('the oracle knows plain Attention only')
  const name = (part: string) => `oracle_${n}_attention_${part}`
  const { INT, INTS, TENSOR } = onnx.AttributeProto.AttributeType
  const number = (part: string, value: number): onnx.INodeProto =>
    op('Constant', [], name(part), [{ name: 'value', type: TENSOR, t: { dataType: 1, floatData: [value] } }])
  const scale = given.get('scale')?.f ?? 0
  const factor =
    scale === 0
      ? [
          op('Shape', [q], name('size'), [{ name: 'start', type: INT, i: 3 }]),
          op('Cast', [name('size')], name('float'), [{ name: 'to', type: INT, i: 1 }]),
          op('Sqrt', [name('float')], name('root')),
          op('Reciprocal', [name('root')], name('scale')),
        ]
      : [number('scale', scale)]
  const select =
    mask === '' ? [] : [number('hidden', -1e30), op('Where', [mask, name('scaled'), name('hidden')], name('selected'))]
  const scores = name(mask === '' ? 'scaled' : 'selected')
  return [
    ...factor,
    op('Transpose', [k], name('kt'), [{ name: 'perm', type: INTS, ints: [0, 1, 3, 2] }]),
    op('MatMul', [q, name('kt')], name('raw')),
    op('Mul', [name('raw'), name('scale')], name('scaled')),
    ...select,
    ...withSink(op('Softmax', [scores], name('weights')), sink, n, opset),
    op('MatMul', [name('weights'), v], node.output?.[0] as string),
  ]
}

function withSink(node: onnx.INodeProto, sink: number, n: number, opset: number): onnx.INodeProto[] {
  const [x, y] = [node.input?.[0] as string, node.output?.[0] as string]
  const axis = Number(node.attribute?.find((a) => a.name === 'axis')?.i ?? -1)
  const v = (part: string) => `oracle_${n}_${part}`
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
