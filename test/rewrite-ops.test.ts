import { describe, expect, test } from 'vitest'
import type { Value } from '../src/ir/index.ts'
import { attr, dtypes, Graph, Model, Tensor, verify } from '../src/ir/index.ts'
import { modelToBytes, printModel } from '../src/onnx/index.ts'
import { Ops } from '../src/rewrite/ops.ts'
import { runFloats, runtimeOrSkip } from './support/ort.ts'

const ort = await runtimeOrSkip()
const newest = 26
const opsets = Array.from({ length: newest - 7 + 1 }, (_, i) => i + 7)

/** A model of one float input x and one output y, at an opset. */
function model(opset: number, dims: number[], build: (op: Ops, x: Value) => Value): Model {
  const result = new Model()
  result.irVersion = 8
  result.setOpset('', opset)
  const { graph } = result
  const x = graph.value('x')
  x.type = { kind: 'tensor', dtype: dtypes.float, shape: dims }
  graph.addInput(x)
  const y = build(new Ops({ graph, before: undefined, name: 'n', opset }), x)
  y.type = { kind: 'tensor', dtype: dtypes.float, shape: undefined }
  graph.setOutput(0, y)
  verify(result)
  return result
}

interface Form {
  readonly name: string
  /** The first opset the operators of the form exist in. */
  readonly from: number
  readonly build: (op: Ops, x: Value) => Value
  readonly expected: readonly number[]
}

const dims = [1, 2, 3]
const data = [1, -2, 3, 4, 5, -6]

/** Operators whose inputs and attributes changed between opset 7 and 26. */
const forms: readonly Form[] = [
  { name: 'Pad', from: 7, build: (op, x) => op.Pad(x, [0, 0, 0, 0, 0, 1]), expected: [1, -2, 3, 0, 4, 5, -6, 0] },
  {
    name: 'Pad with a value',
    from: 7,
    build: (op, x) => op.Pad(x, [0, 0, 0, 0, 0, 1], -2),
    expected: [1, -2, 3, -2, 4, 5, -6, -2],
  },
  { name: 'ReduceMax', from: 7, build: (op, x) => op.ReduceMax(x, 2), expected: [3, 5] },
  { name: 'ReduceSum', from: 7, build: (op, x) => op.ReduceSum(x, 2), expected: [2, 3] },
  { name: 'Squeeze', from: 7, build: (op, x) => op.Squeeze(x, [0]), expected: data },
  { name: 'Unsqueeze', from: 7, build: (op, x) => op.Unsqueeze(x, [0]), expected: data },
  { name: 'Slice', from: 7, build: (op, x) => op.Slice(x, [1], [3], [2]), expected: [-2, 3, 5, -6] },
  {
    name: 'Softmax over the last axis',
    from: 7,
    build: (op, x) => op.ReduceSum(op.Softmax(x, -1, 3), 2),
    expected: [1, 1],
  },
  { name: 'Split', from: 7, build: (op, x) => op.Split(x, [1, 2], 2)[1] as Value, expected: [-2, 3, 5, -6] },
  { name: 'Max', from: 8, build: (op, x) => op.Max(x, op.scalar(2, dtypes.float)), expected: [2, 2, 3, 4, 5, 2] },
  {
    name: 'Where',
    from: 9,
    build: (op, x) => op.Where(op.Greater(x, op.scalar(0, dtypes.float)), x, op.Neg(x)),
    expected: [1, 2, 3, 4, 5, 6],
  },
  {
    name: 'Expand',
    from: 8,
    build: (op, x) => op.Expand(op.Slice(x, [0], [1], [2]), op.ints([1, 2, 2])),
    expected: [1, 1, 4, 4],
  },
]

describe.runIf(ort)('an operator built for an opset runs, with the same result', () => {
  for (const form of forms)
    test(form.name, async () => {
      for (const opset of opsets.filter((o) => o >= form.from)) {
        const bytes = modelToBytes(model(opset, dims, form.build))
        const y = await runFloats(ort!, bytes, Float32Array.from(data), dims)
        expect(
          [...y].map((v) => Math.round(v * 1e6) / 1e6),
          `opset ${opset}`,
        ).toEqual(form.expected)
      }
    })
})

describe('constants', () => {
  test('with the same content are one initializer', () => {
    const built = model(17, dims, (op, x) => op.Add(op.Pad(x, [0, 0, 0, 0, 0, 1]), op.Pad(x, [0, 0, 0, 0, 0, 1])))
    const constants = [...built.graph.values.values()].filter((value) => value.initializer)
    expect(constants.map((value) => value.initializer?.dims)).toEqual([[6]])
  })

  test('differ where type or shape does', () => {
    const op = new Ops({ graph: new Model().graph, before: undefined, name: 'n', opset: 17 })
    const one = op.scalar(1, dtypes.float)
    expect(op.scalar(1, dtypes.float)).toBe(one)
    expect(op.scalar(1, dtypes.double)).not.toBe(one)
    expect(op.constant(Tensor.of(dtypes.float, [1], [1]))).not.toBe(one)
  })

  test('are nodes in a function, which has no initializers', () => {
    const result = new Model()
    result.irVersion = 8
    result.setOpset('', 17)
    const body = new Graph()
    const x = body.value('x')
    body.addInput(x)
    result.addFunction({
      domain: 'local',
      name: 'f',
      overload: '',
      attributes: [],
      defaults: new Map(),
      opsetImports: new Map([['', 17]]),
      body,
    })
    const before = body.insert({ opType: 'Relu' }, [x], [body.value('y')], undefined)
    new Ops({ graph: body, before, name: 'n', opset: 17 }).Pad(x, [0, 1])
    expect([...body.nodes()].map((node) => node.opType)).toEqual(['Constant', 'Pad', 'Relu'])
    expect([...body.values.values()].some((value) => value.initializer)).toBe(false)
  })
})

test('new names are free in the whole model, nested graphs included', () => {
  const result = new Model()
  result.setOpset('', 17)
  const { graph } = result
  const x = graph.value('x')
  graph.addInput(x)
  const nested = new Graph()
  nested.value('n/Relu')
  graph.insert(
    { opType: 'If', attributes: new Map([['then_branch', attr.graph(nested)]]), subgraphs: [nested] },
    [x],
    [],
    undefined,
  )
  const made = new Ops({ graph, before: undefined, name: 'n', opset: 17 }).Relu(x)
  expect(made.name).not.toBe('n/Relu')
})

test('nodes stand before the node they were built for, in the order they were built', () => {
  const built = model(17, dims, (op, x) => {
    const y = op.Relu(x)
    const inner = new Ops({ ...op.place, before: y.producer })
    y.producer?.setInput(0, inner.Neg(inner.Tanh(x)))
    return y
  })
  expect(printModel(built).match(/= (\w+)/g)).toEqual(['= Tanh', '= Neg', '= Relu'])
})
