import { readFileSync } from 'node:fs'
import { onnx } from 'onnx-proto'
import { describe, expect, it } from 'vitest'
import { attr } from '../src/ir/index.ts'
import { fromOnnxProto, modelToBytes, openModel, toOnnxProto } from '../src/onnx/index.ts'
import { decodeMessage, encodeMessage } from '../src/onnx/proto.ts'
import { schema } from '../src/onnx/schema.ts'
import { int, len, packed } from './support/proto-bytes.ts'
import { richModel } from './support/rich-model.ts'
import { decodeAll, expectSame } from './support/static-decode.ts'

/** The messages of onnx.proto: name to fields, `snake_case` name to number. */
function messagesOf(text: string): Map<string, Map<string, number>> {
  const messages = new Map<string, Map<string, number>>()
  const open: string[] = []
  for (const line of text.split('\n')) {
    const head = /^\s*(message|oneof) (\w+) \{/.exec(line)
    if (head) {
      open.push(head[1] === 'message' ? (head[2] as string) : (open.at(-1) as string))
      if (head[1] === 'message') messages.set(open.at(-1) as string, new Map())
    } else if (/^\s*\}/.test(line)) open.pop()
    const field = /(\w+) = (\d+)( \[packed = true\])?;/.exec(line)
    if (field && open.length > 0) messages.get(open.at(-1) as string)?.set(field[1] as string, Number(field[2]))
  }
  return messages
}

describe('the schema', () => {
  const messages = messagesOf(readFileSync('src/onnx/onnx.proto', 'utf8'))
  const names: Record<keyof typeof schema, string> = {
    Model: 'ModelProto',
    OperatorSet: 'OperatorSetIdProto',
    Entry: 'StringStringEntryProto',
    Graph: 'GraphProto',
    Function: 'FunctionProto',
    Node: 'NodeProto',
    Attribute: 'AttributeProto',
    ValueInfo: 'ValueInfoProto',
    Type: 'TypeProto',
    TensorType: 'Tensor',
    Shape: 'TensorShapeProto',
    Dimension: 'Dimension',
    Tensor: 'TensorProto',
    SparseTensor: 'SparseTensorProto',
  }

  it.each(Object.entries(schema) as [keyof typeof schema, Record<string, number>][])(
    '%s has the numbers of onnx.proto',
    (name, fields) => {
      const message = messages.get(names[name])
      const numbers = new Set(message?.values())
      expect(numbers.size).toBeGreaterThan(0)
      for (const [field, number] of Object.entries(fields)) {
        expect(numbers, `${name}.${field}`).toContain(number)
        // Where a field has its own name here, it has the same number there.
        const snake = field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
        expect(message?.get(snake) ?? number, `${name}.${field}`).toBe(number)
      }
    },
  )

  it('knows every field that onnx-proto knows, by the same number', () => {
    for (const [name, fields] of messages) {
      const type = (onnx as unknown as Record<string, { encode(m: object): { finish(): Uint8Array } }>)[name]
      if (!type) continue
      for (const [field, number] of fields) {
        const camel = field.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
        const bytes = encodeSomething(type, camel)
        if (bytes.length > 0) expect(readNumber(bytes), `${name}.${field}`).toBe(number)
      }
    }
  })
})

/** A message with one field set, to whatever the class takes; empty when it has no such field. */
function encodeSomething(type: { encode(m: object): { finish(): Uint8Array } }, field: string): Uint8Array {
  for (const value of [1, 'x', Buffer.from('x'), {}, [1], ['x'], [Buffer.from('x')], [{}]]) {
    try {
      const bytes = type.encode({ [field]: value }).finish()
      if (bytes.length > 0) return bytes
    } catch {}
  }
  return new Uint8Array()
}

function readNumber(bytes: Uint8Array): number {
  let tag = 0
  for (const [i, byte] of bytes.entries()) {
    tag += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) break
  }
  return tag >>> 3
}

describe('protobufjs, as it is used here', () => {
  it('keeps unknown fields, explicit zeros and text that is not UTF-8', () => {
    const bytes = Buffer.concat([len(1, Buffer.from([0xff])), int(3, 0), int(20, 2), len(4000, 'unknown')])
    expect(Buffer.from(encodeMessage('AttributeProto', decodeMessage('AttributeProto', bytes))).equals(bytes)).toBe(
      true,
    )
  })

  it('writes a bigint as what it is', () => {
    const write = (i: bigint) => Buffer.from(encodeMessage('AttributeProto', { i }))
    for (const value of [5n, -5n, 2n ** 63n - 1n, -(2n ** 63n)]) expect(write(value).equals(int(3, value))).toBe(true)
    const data = [2n ** 64n - 1n, 1n]
    expect(Buffer.from(encodeMessage('TensorProto', { uint64Data: data })).equals(packed(11, data))).toBe(true)
    expect(() => write(2n ** 64n)).toThrow(RangeError)
  })

  it('refuses bytes that are no message, with the offset', () => {
    const error = expect.objectContaining({ code: 'malformed', at: { offset: expect.any(Number) } })
    expect(() => decodeMessage('ModelProto', Buffer.from([0x0a, 0x05, 0x00]))).toThrow(error)
  })
})

describe('objects of onnx-proto', () => {
  const bytes = readFileSync('fixtures/models/exports/bert.eager.ts14.onnx')

  it('become a model', () => {
    expectSame(fromOnnxProto(onnx.ModelProto.decode(bytes)), decodeAll(bytes))
  })

  it('may be plain, with numbers, bigint and typed data', () => {
    const model = fromOnnxProto({
      irVersion: 8n,
      opsetImport: [{ domain: '', version: 17 }],
      graph: {
        name: 'g',
        node: [{ opType: 'Add', input: ['x', 'w'], output: ['y'] }],
        input: [{ name: 'x', type: { tensorType: { elemType: 7, shape: { dim: [{ dimValue: 2 }] } } } }],
        output: [{ name: 'y' }],
        initializer: [{ name: 'w', dims: [2n], dataType: 7, int64Data: [2n ** 62n, -1] }],
      },
    })
    expect(model.graph.values.get('w')?.initializer?.toBigInts()).toEqual([2n ** 62n, -1n])
    expect(model.graph.inputs[0]?.shape).toEqual([2])
  })

  it('are made from a model, edits included', () => {
    const model = openModel(bytes)
    const softmax = [...model.graph.nodes()].find((node) => node.opType === 'Softmax')
    softmax?.setAttribute('axis', attr.int(-2))
    const proto = toOnnxProto(model, onnx.ModelProto)
    expect(proto).toBeInstanceOf(onnx.ModelProto)
    const node = proto.graph?.node?.find((n) => n.name === softmax?.name)
    expect(Number(node?.attribute?.find((a) => a.name === 'axis')?.i)).toBe(-2)
    // A plain object is what onnx-proto takes, too.
    const plain = toOnnxProto(model)
    const encoded = onnx.ModelProto.encode(plain as onnx.IModelProto).finish()
    expect(onnx.ModelProto.toObject(onnx.ModelProto.decode(encoded))).toEqual(onnx.ModelProto.toObject(proto))
  })

  it('and back keep everything of a model with everything the format has', () => {
    const rich = richModel()
    const again = fromOnnxProto(toOnnxProto(openModel(rich)))
    expectSame(again, decodeAll(rich))
    expect(Buffer.from(modelToBytes(again)).includes('unknown')).toBe(true)
  })
})
