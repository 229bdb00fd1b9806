import type { Attribute, Attributes, Graph, Tensor } from '../../ir/index.ts'
import type { Scan } from '../../wire/index.ts'
import { Field, wireType } from '../../wire/index.ts'
import type { Document } from '../document.ts'
import { attributeTypes, schema } from '../schema.ts'
import { floatsAt, int64Of, integersAt } from './numbers.ts'
import { originOfGraph } from './origin.ts'
import { int32At, isBytes, isInt, textAt } from './scalars.ts'
import { readTensor } from './tensor.ts'

const A = schema.Attribute

/** Reads the attributes of a node. `subgraphs` are the graphs that were already read from them. */
export function readAttributes(document: Document, origin: Field, subgraphs: readonly Graph[]): Attributes {
  const node = origin.inside()
  const attributes = new Map<string, Attribute>()
  for (let i = 0; i < node.count; i++) {
    if (node.number(i) !== schema.Node.attribute || node.wire(i) !== wireType.bytes) continue
    const { name, attribute } = readAttribute(document, new Field(node, i), subgraphs)
    attributes.set(name, attribute)
  }
  return attributes
}

/** What the fields of one attribute message hold, by kind. */
interface Content {
  name: string
  type: number
  ref: string
  f: number
  i: number | bigint
  s: string
  floats: number[]
  ints: (number | bigint)[]
  strings: string[]
  tensors: Tensor[]
  graphs: Graph[]
  /** The kind of the first field with content, for files older than the `type` field. */
  seen: number
}

export function readAttribute(
  document: Document,
  field: Field,
  subgraphs: readonly Graph[],
): { name: string; attribute: Attribute } {
  const fields = field.inside()
  const content: Content = {
    name: '',
    type: 0,
    ref: '',
    f: 0,
    i: 0,
    s: '',
    floats: [],
    ints: [],
    strings: [],
    tensors: [],
    graphs: [],
    seen: 0,
  }
  const scan = field.fields.scan(field.index)
  for (let index = 0; scan.next(); index++) {
    if (isBytes(scan, A.name)) content.name = textAt(scan)
    else if (isBytes(scan, A.refAttrName)) content.ref = textAt(scan)
    else if (isInt(scan, A.type)) content.type = int32At(scan)
    else readContent(document, scan, new Field(fields, index), subgraphs, content)
  }
  const attribute = attributeOf(content, field)
  rememberAttribute(attribute, field)
  return { name: content.name, attribute }
}

function readContent(
  document: Document,
  scan: Scan,
  field: Field,
  subgraphs: readonly Graph[],
  content: Content,
): void {
  const seen = (type: number) => {
    content.seen ||= type
  }
  if (scan.number === A.f && scan.wire === wireType.fixed32) {
    floatsAt(scan, (value) => {
      content.f = value
    })
    seen(attributeTypes.float)
  } else if (isInt(scan, A.i)) {
    content.i = scan.int
    seen(attributeTypes.int)
  } else if (isBytes(scan, A.s)) {
    content.s = textAt(scan)
    seen(attributeTypes.string)
  } else if (isBytes(scan, A.t) || isBytes(scan, A.tensors)) {
    content.tensors.push(readTensor(document, field))
    seen(scan.number === A.t ? attributeTypes.tensor : attributeTypes.tensors)
  } else if (isBytes(scan, A.g) || isBytes(scan, A.graphs)) {
    const graph = subgraphs.find((g) => originOfGraph(g)?.fields.start === scan.body)
    if (graph) content.graphs.push(graph)
    seen(scan.number === A.g ? attributeTypes.graph : attributeTypes.graphs)
  } else if (scan.number === A.floats && floatsAt(scan, (value) => content.floats.push(value))) {
    seen(attributeTypes.floats)
  } else if (scan.number === A.ints && integersAt(scan, (low, high) => content.ints.push(int64Of(low, high)))) {
    seen(attributeTypes.ints)
  } else if (isBytes(scan, A.strings)) {
    content.strings.push(textAt(scan))
    seen(attributeTypes.strings)
  }
}

function attributeOf(content: Content, origin: Field): Attribute {
  if (content.ref !== '') return { kind: 'ref', name: content.ref, type: content.type }
  const tensor = content.tensors[0]
  const graph = content.graphs[0]
  switch (content.type || content.seen) {
    case attributeTypes.float:
      return { kind: 'float', value: content.f }
    case attributeTypes.int:
      return { kind: 'int', value: content.i }
    case attributeTypes.string:
      return { kind: 'string', value: content.s }
    case attributeTypes.tensor:
      return tensor ? { kind: 'tensor', value: tensor } : { kind: 'opaque', origin }
    case attributeTypes.graph:
      return graph ? { kind: 'graph', value: graph } : { kind: 'opaque', origin }
    case attributeTypes.floats:
      return { kind: 'floats', value: content.floats }
    case attributeTypes.ints:
      return { kind: 'ints', value: content.ints }
    case attributeTypes.strings:
      return { kind: 'strings', value: content.strings }
    case attributeTypes.tensors:
      return { kind: 'tensors', value: content.tensors }
    case attributeTypes.graphs:
      return { kind: 'graphs', value: content.graphs }
    default:
      return { kind: 'opaque', origin }
  }
}

const origins = new WeakMap<Attribute, Field>()

function rememberAttribute(attribute: Attribute, field: Field): void {
  origins.set(attribute, field)
}

/** Where an attribute was read; `undefined` when it was made by the program. */
export function originOfAttribute(attribute: Attribute): Field | undefined {
  return origins.get(attribute)
}
