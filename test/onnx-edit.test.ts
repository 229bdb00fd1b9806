import { readFileSync } from 'node:fs'
import { onnx } from 'onnx-proto'
import { describe, expect, it } from 'vitest'
import type { Node } from '../src/ir/index.ts'
import { attr, dtypes, Graph, Model, OwnedPayload, Tensor, verify } from '../src/ir/index.ts'
import { modelToBytes, openModel, parseModel } from '../src/onnx/index.ts'
import { runFloats, runtimeOrSkip } from './support/ort.ts'
import { entry, floats, int, len, only, split } from './support/proto-bytes.ts'
import { decodeAll, expectSame } from './support/static-decode.ts'
import { syntheticBytes } from './support/synthetic.ts'

const ort = await runtimeOrSkip()

const unknown = len(4000, 'unknown')
const floatType = len(2, len(1, int(1, 1), len(2, len(1, int(1, 4)))))
const info = (number: number, name: string, ...rest: Buffer[]) => len(number, len(1, name), floatType, ...rest)
const node = (op: string, name: string, inputs: string[], outputs: string[], ...rest: Buffer[]) =>
  len(1, len(3, name), ...inputs.map((i) => len(1, i)), ...outputs.map((o) => len(2, o)), len(4, op), ...rest)
const weight = (name: string, values: number[], ...rest: Buffer[]) =>
  len(5, len(8, name), int(1, values.length), int(2, 1), len(9, floats(values)), ...rest)
const intAttribute = (name: string, value: number, ...rest: Buffer[]) =>
  len(5, len(1, name), int(3, value), int(20, 2), ...rest)

/** y = relu(x + w) * v, with unknown fields and odd orders everywhere. */
const parts = {
  version: int(1, 8),
  unknown: int(4000, 1),
  input: info(11, 'x', unknown),
  w: weight('w', [1, -2, 3, -4], unknown),
  add: node('Add', 'add', ['x', 'w'], ['s'], unknown),
  v: weight('v', [2, 2, 2, 2]),
  relu: node('Relu', 'relu', ['s'], ['r'], len(6, 'doc'), entry(9, 'a', '1'), entry(9, 'b', '2'), unknown),
  softmax: node('Softmax', 'softmax', ['r'], ['p'], intAttribute('axis', 0, unknown), unknown, len(7, '')),
  mul: node('Mul', 'mul', ['p', 'v'], ['y']),
  infoS: info(13, 's', unknown),
  infoR: info(13, 'r'),
  output: info(12, 'y'),
  name: len(2, 'g'),
}

const graphParts = Object.values(parts).slice(2)
const opset = len(8, len(1, ''), int(2, 17), unknown)
const modelOf = (...graph: Buffer[]) =>
  Buffer.concat([parts.version, opset, parts.unknown, len(7, ...graph), entry(14, 'k', 'v'), len(2, 'producer')])

const original = modelOf(...graphParts)

/** Opens the small model, edits it, and gives the graph message that is written. */
function edited(edit: (model: Model) => void, bytes = original): { graph: Buffer; bytes: Buffer } {
  const model = openModel(bytes)
  edit(model)
  verify(model)
  const result = Buffer.from(modelToBytes(model))
  expectSame(openModel(result), decodeAll(result))
  onnx.ModelProto.decode(result)
  return { graph: only(result, 7), bytes: result }
}

function nodeOf(model: Model, name: string): Node {
  for (const graph of model.graphs()) for (const node of graph.nodes()) if (node.name === name) return node
  throw new Error(`no node ${name}`)
}

function replaced(part: Buffer, ...by: Buffer[]): Buffer {
  return Buffer.concat(graphParts.flatMap((p) => (p === part ? by : [p])))
}

const hex = (bytes: Buffer) => bytes.toString('hex')

describe('an edit changes the messages that were edited and nothing else', () => {
  it('a name', () => {
    const { graph } = edited((model) => {
      nodeOf(model, 'add').name = 'renamed'
    })
    expect(hex(graph)).toBe(hex(replaced(parts.add, node('Add', 'renamed', ['x', 'w'], ['s'], unknown))))
  })

  it('an input', () => {
    const { graph } = edited((model) => {
      nodeOf(model, 'mul').setInput(1, model.graph.values.get('w'))
    })
    expect(hex(graph)).toBe(hex(replaced(parts.mul, node('Mul', 'mul', ['p', 'w'], ['y']))))
  })

  it('an attribute, whose unknown fields go with it, and one that is added', () => {
    const { graph } = edited((model) => {
      nodeOf(model, 'softmax').setAttribute('axis', attr.int(-1))
      nodeOf(model, 'softmax').setAttribute('new', attr.floats([1]))
    })
    const added = len(5, len(1, 'new'), Buffer.concat([Buffer.from([0x3d]), floats([1])]), int(20, 6))
    const axis = intAttribute('axis', -1)
    const softmax = node('Softmax', 'softmax', ['r'], ['p'], axis, added, unknown, len(7, ''))
    expect(hex(graph)).toBe(hex(replaced(parts.softmax, softmax)))
  })

  it('an attribute that is set to what it was keeps its bytes', () => {
    const { graph } = edited((model) => {
      const softmax = nodeOf(model, 'softmax')
      softmax.setAttribute('axis', softmax.attributes.get('axis'))
    })
    expect(hex(graph)).toBe(hex(Buffer.concat(graphParts)))
  })

  it('metadata of a node: one entry changed, one removed by none, one added', () => {
    const { graph } = edited((model) => {
      nodeOf(model, 'relu').setMetadata('b', '3')
      nodeOf(model, 'relu').setMetadata('c', '4')
    })
    const rest = [len(6, 'doc'), entry(9, 'a', '1'), entry(9, 'b', '3'), entry(9, 'c', '4'), unknown]
    expect(hex(graph)).toBe(hex(replaced(parts.relu, node('Relu', 'relu', ['s'], ['r'], ...rest))))
  })

  it('a node that is replaced by two: they stand where it stood', () => {
    const { graph } = edited((model) => {
      const relu = nodeOf(model, 'relu')
      const zero = model.graph.addInitializer('zero', Tensor.of(dtypes.float, [1], [0]))
      const [s, r] = [relu.input(0), relu.output(0)]
      const max = model.graph.newValue('max')
      model.graph.insert({ opType: 'Max', name: 'max' }, [s, zero], [max], relu)
      const next = relu.next
      model.graph.remove(relu)
      model.graph.insert({ opType: 'Identity', name: 'id' }, [max], [r], next)
    })
    const zero = len(5, int(1, 1), int(2, 1), len(8, 'zero'), len(9, floats([0])))
    const bare = (op: string, name: string, inputs: string[], output: string) =>
      len(1, ...inputs.map((i) => len(1, i)), len(2, output), len(3, name), len(4, op))
    const expected = graphParts.flatMap((part) => {
      if (part === parts.relu) return [bare('Max', 'max', ['s', 'zero'], 'max'), bare('Identity', 'id', ['max'], 'r')]
      // The new initializer comes behind the last one.
      return part === parts.v ? [part, zero] : [part]
    })
    expect(hex(graph)).toBe(hex(Buffer.concat(expected)))
  })

  it('nodes in front of the first and behind the last, and declared types of new values', () => {
    const { graph } = edited((model) => {
      const { graph } = model
      const x = graph.inputs[0]
      const first = graph.newValue('first', { kind: 'tensor', dtype: dtypes.float, shape: [4] })
      graph.insert({ opType: 'Neg', name: 'first' }, [x], [first], nodeOf(model, 'add'))
      graph.insert({ opType: 'Neg', name: 'last' }, [first], [graph.newValue('last')], undefined)
    })
    const numbers = split(graph).map((field) => field.number)
    expect(numbers).toEqual([11, 5, 1, 1, 5, 1, 1, 1, 1, 13, 13, 13, 12, 2])
    const message = decodeAll(modelOf(graph)).graph
    expect(message.node.map((n: { name: string }) => n.name)).toEqual([
      'first',
      'add',
      'relu',
      'softmax',
      'mul',
      'last',
    ])
    expect(message.valueInfo.map((v: { name: string }) => v.name)).toEqual(['s', 'r', 'first'])
  })

  it('a removed node takes the declared type of its output along', () => {
    const { graph } = edited((model) => {
      const relu = nodeOf(model, 'relu')
      const r = relu.output(0)
      r?.replaceUsesWith(relu.input(0) as NonNullable<typeof r>)
      model.graph.remove(relu)
      if (r) model.graph.removeValue(r)
    })
    const softmax = node('Softmax', 'softmax', ['s'], ['p'], intAttribute('axis', 0, unknown), unknown, len(7, ''))
    const expected = graphParts.flatMap((part) =>
      part === parts.relu || part === parts.infoR ? [] : part === parts.softmax ? [softmax] : [part],
    )
    expect(hex(graph)).toBe(hex(Buffer.concat(expected)))
  })

  it('a replaced initializer stands where the old one stood, a removed one is gone', () => {
    const data = Tensor.of(dtypes.float, [4], [9, 9, 9, 9], 'w')
    const { graph } = edited((model) => {
      const { values } = model.graph
      const w = values.get('w')
      if (w) w.initializer = data
      nodeOf(model, 'mul').setInput(1, w)
      const v = values.get('v')
      if (v) model.graph.removeValue(v)
    })
    expect(split(graph).map((field) => field.number)).toEqual([11, 5, 1, 1, 1, 1, 13, 13, 12, 2])
    expect(decodeAll(modelOf(graph)).graph.initializer).toMatchObject([{ name: 'w', rawData: floats([9, 9, 9, 9]) }])
  })

  it('a renamed copy of an initializer keeps its unknown fields', () => {
    const { graph } = edited((model) => {
      const w = model.graph.values.get('w')?.initializer
      if (w) model.graph.addInitializer('copy', w)
    })
    const copy = weight('copy', [1, -2, 3, -4], unknown)
    expect(hex(graph)).toBe(hex(replaced(parts.v, parts.v, copy)))
  })

  it('a declared type, an output that is another value, and the name of the graph', () => {
    const { graph } = edited((model) => {
      const { values } = model.graph
      const s = values.get('s')
      if (s) s.type = { kind: 'tensor', dtype: dtypes.float, shape: ['N', undefined] }
      const x = model.graph.inputs[0]
      if (x) x.type = undefined
      const p = values.get('p')
      if (p) model.graph.setOutput(0, p)
      model.graph.name = 'other'
    })
    const shape = len(2, len(1, len(2, 'N')), len(1))
    const infoS = len(13, len(1, 's'), len(2, len(1, int(1, 1), shape)), unknown)
    const expected = graphParts.map((part) => {
      if (part === parts.infoS) return infoS
      if (part === parts.input) return len(11, len(1, 'x'), unknown)
      if (part === parts.name) return len(2, 'other')
      return part === parts.output ? len(12, len(1, 'p')) : part
    })
    expect(hex(graph)).toBe(hex(Buffer.concat(expected)))
  })

  it('fields of the model', () => {
    const { bytes } = edited((model) => {
      model.setOpset('', 18)
      model.setOpset('com.microsoft', 1)
      model.setMetadata('k', 'w')
      model.setMetadata('new', 'entry')
      model.irVersion = 9
      model.producerVersion = '1.0'
    })
    const expected = [
      int(1, 9),
      // The version belongs behind the name, in front of the first field of a higher number.
      len(3, '1.0'),
      len(8, len(1, ''), int(2, 18), unknown),
      len(8, len(1, 'com.microsoft'), int(2, 1)),
      parts.unknown,
      len(7, ...graphParts),
      entry(14, 'k', 'w'),
      entry(14, 'new', 'entry'),
      len(2, 'producer'),
    ]
    expect(hex(bytes)).toBe(hex(Buffer.concat(expected)))
  })

  it('is written as often as one likes', () => {
    const model = openModel(original, { budget: 400 })
    nodeOf(model, 'relu').name = 'renamed'
    const first = modelToBytes(model)
    for (let i = 0; i < 100; i++) expect(modelToBytes(model)).toEqual(first)
  })

  it('a removed opset import', () => {
    const bytes = Buffer.concat([original, len(8, len(1, 'other'), int(2, 1))])
    const result = edited((model) => model.removeOpset('other'), bytes)
    expect(hex(result.bytes)).toBe(hex(original))
  })
})

const branch = (output: string, value: number, ...rest: Buffer[]) =>
  Buffer.concat([
    node('Add', `add.${output}`, ['x', `w.${output}`], [output], unknown),
    weight(`w.${output}`, [value, value, value, value]),
    len(12, len(1, output), floatType),
    len(2, output),
    ...rest,
  ])
const ifModel = (inner: Buffer) =>
  modelOf(
    len(11, len(1, 'c'), len(2, len(1, int(1, 9), len(2)))),
    info(11, 'x'),
    node(
      'If',
      'if',
      ['c'],
      ['y'],
      len(5, len(1, 'then_branch'), unknown, len(6, inner), int(20, 5)),
      len(5, len(6, branch('b', 2)), len(1, 'else_branch'), int(20, 5)),
      unknown,
    ),
    info(12, 'y'),
    len(2, 'g'),
  )

describe('nested graphs', () => {
  it('an edit in a branch writes only the messages around it anew', () => {
    const { bytes } = edited(
      (model) => {
        const add = nodeOf(model, 'add.a')
        const negated = add.graph.newValue('negated')
        add.graph.insert({ opType: 'Neg' }, [add.input(0)], [negated], add)
        add.setInput(0, negated)
      },
      ifModel(branch('a', 1, unknown)),
    )
    const neg = len(1, len(1, 'x'), len(2, 'negated'), len(4, 'Neg'))
    const add = node('Add', 'add.a', ['negated', 'w.a'], ['a'], unknown)
    const expected = Buffer.concat([
      neg,
      add,
      ...split(branch('a', 1, unknown))
        .slice(1)
        .map((field) => field.bytes),
    ])
    expect(hex(bytes)).toBe(hex(ifModel(expected)))
  })

  it('an edit beside a branch leaves the branches as they are', () => {
    const bytes = ifModel(branch('a', 1, unknown))
    const result = edited((model) => {
      nodeOf(model, 'if').name = 'renamed'
    }, bytes)
    expect(result.bytes.includes(branch('a', 1, unknown))).toBe(true)
    expect(result.bytes.includes(branch('b', 2))).toBe(true)
  })

  it('a graph that is given to a new node goes with it', () => {
    const { bytes } = edited(
      (model) => {
        const old = nodeOf(model, 'if')
        const attributes = new Map(old.attributes)
        const [c, y] = [old.input(0), old.output(0)]
        model.graph.remove(old)
        const made = model.graph.insert({ opType: 'If', name: 'if' }, [c], [y], undefined)
        for (const [name, value] of attributes) made.setAttribute(name, value)
      },
      ifModel(branch('a', 1, unknown)),
    )
    expect(bytes.includes(branch('a', 1, unknown))).toBe(true)
    expect(bytes.includes(branch('b', 2))).toBe(true)
  })
})

describe('model-local functions', () => {
  const body = [
    len(1, 'Twice'),
    len(4, 'in'),
    len(5, 'out'),
    unknown,
    len(7, len(1, 'in'), len(1, 'in'), len(2, 'out'), len(4, 'Add'), len(3, 'double')),
    len(9, int(2, 17)),
    len(10, 'local'),
  ]
  const bytes = Buffer.concat([modelOf(...graphParts), len(25, ...body), len(8, len(1, 'local'), int(2, 1))])

  it('an edit in a body writes only that function anew', () => {
    const { bytes: result } = edited((model) => {
      const add = nodeOf(model, 'double')
      const negated = add.graph.newValue('negated')
      add.graph.insert({ opType: 'Neg' }, [add.input(0)], [negated], add)
      add.setInput(0, negated)
    }, bytes)
    const neg = len(7, len(1, 'in'), len(2, 'negated'), len(4, 'Neg'))
    const add = len(7, len(1, 'negated'), len(1, 'in'), len(2, 'out'), len(4, 'Add'), len(3, 'double'))
    const changed = body.flatMap((part, i) => (i === 4 ? [neg, add] : [part]))
    const expected = [modelOf(...graphParts), len(25, ...changed), len(8, len(1, 'local'), int(2, 1))]
    expect(hex(result)).toBe(hex(Buffer.concat(expected)))
  })

  it('a function can be added and its opsets changed', () => {
    const { bytes: result } = edited((model) => {
      model.functions[0]?.opsetImports.set('', 18)
      const graph = new Graph()
      const x = graph.value('x')
      graph.addInput(x)
      const y = graph.value('y')
      graph.insert({ opType: 'Neg', attributes: new Map([['alpha', attr.ref('a', 1)]]) }, [x], [y], undefined)
      graph.setOutput(0, y)
      const defaults = new Map([['a', attr.float(2)]])
      const opsetImports = new Map([['', 17]])
      model.addFunction({
        domain: 'local',
        name: 'New',
        overload: '',
        attributes: ['b'],
        defaults,
        opsetImports,
        body: graph,
      })
    }, bytes)
    const [twice, added] = decodeAll(result).functions
    expect(Number(twice.opsetImport[0].version)).toBe(18)
    expect(added).toMatchObject({ name: 'New', domain: 'local', input: ['x'], output: ['y'], attribute: ['b'] })
    expect(result.includes(unknown)).toBe(true)
  })
})

describe('runtimes read what is written', () => {
  const input = Float32Array.from([1, 2, 3, 4])

  it.skipIf(!ort)('an edited graph computes what the edit says', async () => {
    if (!ort) return
    const softmax = (xs: number[]) => {
      const e = xs.map((x) => Math.exp(x))
      return e.map((x) => x / e.reduce((a, b) => a + b))
    }
    const relu = [2, 0, 6, 0]
    expectClose(
      await runFloats(ort, original, input, [4]),
      softmax(relu).map((x) => 2 * x),
    )
    const { bytes } = edited((model) => {
      const relu = nodeOf(model, 'relu')
      const scale = model.graph.addInitializer('scale', Tensor.scalar(dtypes.float, 0.5))
      const halved = model.graph.newValue('halved')
      model.graph.insert({ opType: 'Mul' }, [relu.input(0), scale], [halved], relu)
      relu.setInput(0, halved)
      const v = model.graph.values.get('v')
      if (v)
        v.initializer = new Tensor({ dtype: dtypes.float, dims: [4], payload: new OwnedPayload(floats([1, 1, 1, 3])) })
    })
    const [a, b, c, d] = softmax([1, 0, 3, 0]) as [number, number, number, number]
    expectClose(await runFloats(ort, bytes, input, [4]), [a, b, c, 3 * d])
  })

  it.skipIf(!ort)('a synthetic transformer with every node written anew computes the same', async () => {
    if (!ort) return
    const bytes = syntheticBytes({ layers: 2, width: 16, heads: 2 })
    const model = openModel(bytes)
    for (const node of model.graph.nodes()) node.docString = 'edited'
    for (const value of model.graph.values.values()) {
      const tensor = value.initializer
      if (!tensor?.payload) continue
      const payload = new OwnedPayload(tensor.payload.read(0, tensor.payload.byteLength))
      value.initializer = new Tensor({ dtype: tensor.dtype, dims: tensor.dims, name: value.name, payload })
    }
    const x = Float32Array.from({ length: 80 }, (_, i) => Math.sin(i))
    const written = modelToBytes(model)
    expect(await runFloats(ort, written, x, [1, 5, 16])).toEqual(await runFloats(ort, bytes, x, [1, 5, 16]))
  })

  it.skipIf(!ort)('a model made from text', async () => {
    if (!ort) return
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[4] x) => (float[4] y) <float[4] w = {1, 2, 3, 4}> { y = Mul (x, w) }`)
    expectClose(await runFloats(ort, modelToBytes(model), input, [4]), [1, 4, 9, 16])
  })

  it('onnx-proto sees the edits of a real export', () => {
    const bytes = readFileSync('fixtures/models/exports/bert.eager.ts14.onnx')
    const model = openModel(bytes)
    const first = [...model.graph.nodes()].find((n) => n.opType === 'Softmax') as Node
    first.setAttribute('axis', attr.int(3))
    const before = onnx.ModelProto.decode(bytes)
    const after = onnx.ModelProto.decode(modelToBytes(model))
    const changed = before.graph?.node?.findIndex((n) => n.name === first.name) as number
    const attribute = after.graph?.node?.[changed]?.attribute?.[0]
    expect(Number(attribute?.i)).toBe(3)
    if (attribute) attribute.i = before.graph?.node?.[changed]?.attribute?.[0]?.i ?? null
    expect(onnx.ModelProto.toObject(after)).toEqual(onnx.ModelProto.toObject(before))
  })

  it('a model built from nothing has its fields in order', () => {
    const model = new Model()
    model.irVersion = 8
    model.setOpset('', 17)
    const x = model.graph.value('x')
    x.type = { kind: 'tensor', dtype: dtypes.float, shape: [2] }
    model.graph.addInput(x)
    const y = model.graph.newValue('y')
    model.graph.insert({ opType: 'Identity' }, [x], [y], undefined)
    model.graph.setOutput(0, y)
    const bytes = Buffer.from(modelToBytes(model))
    expect(split(bytes).map((field) => field.number)).toEqual([1, 7, 8])
    expect(split(only(bytes, 7)).map((field) => field.number)).toEqual([1, 2, 11, 12])
    expectSame(openModel(bytes), decodeAll(bytes))
  })
})

function expectClose(actual: Float32Array, expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length)
  for (const [i, value] of expected.entries()) expect(actual[i]).toBeCloseTo(value, 5)
}
