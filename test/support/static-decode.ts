import { expect } from 'vitest'
import type { Attribute, Graph, Model, Node, Tensor, ValueType } from '../../src/ir/index.ts'
import { decodeMessage } from '../../src/onnx/proto.ts'
import { encodeText } from '../../src/wire/index.ts'

// biome-ignore lint/suspicious/noExplicitAny: the decoded messages are plain protobufjs objects.
type Message = any

/** The whole model as protobufjs decodes it, in one go. Throws when it refuses the bytes. */
export function decodeAll(bytes: Uint8Array): Message {
  return decodeMessage('ModelProto', bytes)
}

/** Expects a model to say what the decoded message says. */
export function expectSame(model: Model, message: Message): void {
  expect(readAll(model)).toEqual(contentOf(message))
}

/** What a decoded message says, in the form of {@link readAll}. */
export function contentOf(message: Message): object {
  return {
    irVersion: Number(message.irVersion),
    producerName: message.producerName,
    producerVersion: message.producerVersion,
    docString: message.docString,
    opsets: opsetsOf(message.opsetImport),
    metadata: entriesOf(message.metadataProps),
    graph: graphOf(message.graph),
    functions: message.functions.map(functionOf),
  }
}

/** Everything in a model, whatever is read lazily. */
export function readAll(model: Model): object {
  return {
    irVersion: model.irVersion,
    producerName: model.producerName,
    producerVersion: model.producerVersion,
    docString: model.docString,
    opsets: Object.fromEntries(model.opsetImports),
    metadata: Object.fromEntries(model.metadata),
    graph: viewGraph(model.graph),
    functions: model.functions.map((fn) => ({
      name: fn.name,
      domain: fn.domain,
      overload: fn.overload,
      attributes: fn.attributes,
      defaults: Object.fromEntries([...fn.defaults].map(([name, value]) => [name, viewAttribute(value)])),
      opsets: Object.fromEntries(fn.opsetImports),
      inputs: fn.body.inputs.map((value) => value.name),
      outputs: fn.body.outputs.map((value) => value.name),
      nodes: Array.from(fn.body.nodes(), viewNode),
    })),
  }
}

function viewGraph(graph: Graph): object {
  const values = [...graph.values.values()]
  return {
    name: graph.name,
    docString: graph.docString,
    inputs: graph.inputs.map((value) => ({ name: value.name, type: viewType(value.type) })),
    outputs: graph.outputs.map((value) => value.name),
    nodes: Array.from(graph.nodes(), viewNode),
    initializers: Object.fromEntries(
      values.flatMap(({ name, initializer }) => (initializer ? [[name, viewTensor(initializer)]] : [])),
    ),
  }
}

function viewNode(node: Node): object {
  return {
    name: node.name,
    opType: node.opType,
    domain: node.domain,
    overload: node.overload,
    docString: node.docString,
    inputs: node.inputs.map((value) => value?.name ?? ''),
    outputs: node.outputs.map((value) => value?.name ?? ''),
    metadata: Object.fromEntries(node.metadata),
    attributes: Object.fromEntries([...node.attributes].map(([name, value]) => [name, viewAttribute(value)])),
  }
}

function viewAttribute(attribute: Attribute): unknown {
  switch (attribute.kind) {
    case 'tensor':
      return viewTensor(attribute.value)
    case 'tensors':
      return attribute.value.map(viewTensor)
    case 'graph':
      return viewGraph(attribute.value)
    case 'graphs':
      return attribute.value.map(viewGraph)
    case 'int':
      return BigInt(attribute.value)
    case 'ints':
      return attribute.value.map(BigInt)
    case 'ref':
      return { ref: attribute.name, type: attribute.type }
    case 'opaque':
      return 'opaque'
    case 'string':
      return hex(encodeText(attribute.value))
    case 'strings':
      return attribute.value.map((text) => hex(encodeText(text)))
    default:
      return attribute.value
  }
}

function viewTensor(tensor: Tensor): object {
  const { name, dtype, dims, payload, strings } = tensor
  const data = strings ? strings().map(hex) : hex(payload?.read(0, payload.byteLength) ?? Buffer.of())
  return { name, dtype, dims, data }
}

function viewType(type: ValueType | undefined): unknown {
  return type?.kind === 'opaque' ? 'opaque' : type
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const entriesOf = (entries: Message[]) => Object.fromEntries(entries.map(({ key, value }) => [key, value]))
const domainOf = (domain: string) => (domain === 'ai.onnx' ? '' : domain)
const opsetsOf = (imports: Message[]) =>
  Object.fromEntries(imports.map(({ domain, version }) => [domainOf(domain), Number(version)]))

function functionOf(message: Message) {
  return {
    name: message.name,
    domain: message.domain,
    overload: message.overload,
    attributes: message.attribute,
    defaults: Object.fromEntries(message.attributeProto.map((a: Message) => [a.name, attributeOf(a)])),
    opsets: opsetsOf(message.opsetImport),
    inputs: message.input,
    outputs: message.output,
    nodes: message.node.map(nodeOf),
  }
}

function graphOf(message: Message): object {
  const dense = message.initializer.map((tensor: Message) => [tensor.name, tensorOf(tensor)])
  const sparse = message.sparseInitializer.map((tensor: Message) => [tensor.values?.name ?? '', sparseOf(tensor)])
  return {
    name: message.name,
    docString: message.docString,
    inputs: message.input.map((info: Message) => ({ name: info.name, type: typeOf(info.type) })),
    outputs: message.output.map((info: Message) => info.name),
    nodes: message.node.map(nodeOf),
    initializers: Object.fromEntries([...dense, ...sparse]),
  }
}

function nodeOf(message: Message): object {
  return {
    name: message.name,
    opType: message.opType,
    domain: domainOf(message.domain),
    overload: message.overload,
    docString: message.docString,
    inputs: message.input,
    outputs: message.output,
    metadata: entriesOf(message.metadataProps),
    attributes: Object.fromEntries(message.attribute.map((a: Message) => [a.name, attributeOf(a)])),
  }
}

const own = (message: Message, key: string) => Object.hasOwn(message, key)

function attributeOf(message: Message): unknown {
  if (message.refAttrName !== '') return { ref: message.refAttrName, type: message.type }
  switch (message.type || impliedType(message)) {
    case 1:
      return message.f
    case 2:
      return big(message.i)
    case 3:
      return hex(message.s)
    case 4:
      return message.t ? tensorOf(message.t) : 'opaque'
    case 5:
      return message.g ? graphOf(message.g) : 'opaque'
    case 6:
      return message.floats
    case 7:
      return message.ints.map(big)
    case 8:
      return message.strings.map(hex)
    case 9:
      return message.tensors.map(tensorOf)
    case 10:
      return message.graphs.map(graphOf)
    default:
      return 'opaque'
  }
}

/** For messages without a type: the kind of content there is. Only used where there is one kind. */
function impliedType(message: Message): number {
  const single = ['f', 'i', 's', 't', 'g'].findIndex((key) => own(message, key))
  const lists = ['floats', 'ints', 'strings', 'tensors', 'graphs'].findIndex((key) => message[key].length > 0)
  return single >= 0 ? single + 1 : lists >= 0 ? lists + 6 : 0
}

const big = (long: Message) => BigInt(long.toString())

function typeOf(message: Message): unknown {
  if (!message) return undefined
  if (message.value !== 'tensorType') return 'opaque'
  const { elemType, shape } = message.tensorType
  return { kind: 'tensor', dtype: elemType, shape: shape ? shape.dim.map(dimOf) : undefined }
}

function dimOf(message: Message): unknown {
  if (message.value === 'dimValue') return Number(message.dimValue)
  return message.value === 'dimParam' && message.dimParam !== '' ? message.dimParam : undefined
}

function tensorOf(message: Message): object {
  const head = { name: message.name, dtype: message.dataType, dims: message.dims.map(Number) }
  return { ...head, data: message.dataType === 8 ? message.stringData.map(hex) : hex(rawOf(message)) }
}

/** The raw layout of a tensor, element by element. */
function rawOf(message: Message): Uint8Array {
  if (own(message, 'rawData')) return message.rawData
  const width = unitBytes[message.dataType] ?? 1
  const list: Message[] = [
    message.floatData,
    message.doubleData,
    message.int64Data,
    message.uint64Data,
    message.int32Data,
  ][
    [1, 14].includes(message.dataType)
      ? 0
      : [11, 15].includes(message.dataType)
        ? 1
        : message.dataType === 7
          ? 2
          : [12, 13].includes(message.dataType)
            ? 3
            : 4
  ]
  const bytes = Buffer.alloc(list.length * width)
  for (const [i, value] of list.entries()) {
    if (list === message.floatData) bytes.writeFloatLE(value, i * 4)
    else if (list === message.doubleData) bytes.writeDoubleLE(value, i * 8)
    else {
      let rest = BigInt.asUintN(width * 8, BigInt(value.toString()))
      for (let b = 0; b < width; b++, rest >>= 8n) bytes[i * width + b] = Number(rest & 0xffn)
    }
  }
  return bytes
}

const unitBytes: Record<number, number> = {
  1: 4,
  4: 2,
  5: 2,
  6: 4,
  7: 8,
  10: 2,
  11: 8,
  12: 4,
  13: 8,
  14: 4,
  15: 8,
  16: 2,
}

function sparseOf(message: Message): object {
  const values = rawOf(message.values)
  const dims: number[] = message.dims.map(Number)
  const width = unitBytes[message.values.dataType] ?? 1
  const size = dims.reduce((a, b) => a * b, 1)
  const bytes = Buffer.alloc(size * width)
  const indices = Buffer.from(rawOf(message.indices))
  const axes = message.indices.dims.length === 2 ? dims.length : 1
  for (let i = 0; i * width < values.length; i++) {
    let at = 0
    for (let a = 0; a < axes; a++)
      at = (axes > 1 ? at * (dims[a] as number) : 0) + Number(indices.readBigInt64LE((i * axes + a) * 8))
    bytes.set(values.subarray(i * width, (i + 1) * width), at * width)
  }
  return { name: message.values.name, dtype: message.values.dataType, dims, data: hex(bytes) }
}
