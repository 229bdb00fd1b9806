import type { Attribute, Attributes, Graph, Tensor } from '../../ir/index.ts'
import type { Fields, Scan } from '../../wire/index.ts'
import { Field, wireType } from '../../wire/index.ts'
import type { Document } from '../document.ts'
import { attributeTypes, schema } from '../schema.ts'
import { floatsAt, int64Of, integersAt } from './numbers.ts'
import { originOfGraph } from './origin.ts'
import { int32At, isBytes, isInt, refuseSecond, textAt } from './scalars.ts'
import { readTensor } from './tensor.ts'

const A = schema.Attribute

/** Attributes with more than this in numbers and text stay opaque: trees with millions of leaves, compiled programs. */
const largestContent = 1 << 26

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

export function readAttribute(
  document: Document,
  field: Field,
  subgraphs: readonly Graph[],
): { name: string; attribute: Attribute } {
  const content = new Content(document, field, subgraphs)
  const attribute = content.attribute()
  origins.set(attribute, field)
  return { name: content.name, attribute }
}

const origins = new WeakMap<Attribute, Field>()

/** Where an attribute was read; `undefined` when it was made by the program. */
export function originOfAttribute(attribute: Attribute): Field | undefined {
  return origins.get(attribute)
}

/** What the fields of one attribute message hold, by kind. */
class Content {
  name = ''
  readonly #document: Document
  readonly #field: Field
  readonly #subgraphs: readonly Graph[]
  #fields: Fields | undefined
  #type = 0
  /** The kind of the first field with content, for files older than the `type` field. */
  #seen = 0
  #ref = ''
  #f = 0
  #i: number | bigint = 0
  #s = ''
  #t: Tensor | undefined
  #g: Graph | undefined
  readonly #floats: number[] = []
  readonly #ints: (number | bigint)[] = []
  readonly #strings: string[] = []
  readonly #tensors: Tensor[] = []
  readonly #graphs: Graph[] = []
  #bytes = 0

  constructor(document: Document, field: Field, subgraphs: readonly Graph[]) {
    this.#document = document
    this.#field = field
    this.#subgraphs = subgraphs
    const scan = field.fields.scan(field.index)
    for (let index = 0; scan.next(); index++) {
      if (isBytes(scan, A.name)) this.name = document.intern(textAt(scan))
      else if (isBytes(scan, A.refAttrName)) this.#ref = textAt(scan)
      else if (isInt(scan, A.type)) this.#type = int32At(scan)
      else {
        const type = this.#parts(scan, index) || this.#scalars(scan) || this.#lists(scan)
        this.#seen ||= type
      }
    }
  }

  attribute(): Attribute {
    const opaque: Attribute = { kind: 'opaque', origin: this.#field }
    if (this.#ref !== '') return { kind: 'ref', name: this.#ref, type: this.#type }
    if (this.#bytes > largestContent) return opaque
    switch (this.#type || this.#seen) {
      case attributeTypes.float:
        return { kind: 'float', value: this.#f }
      case attributeTypes.int:
        return { kind: 'int', value: this.#i }
      case attributeTypes.string:
        return { kind: 'string', value: this.#s }
      case attributeTypes.tensor:
        return this.#t ? { kind: 'tensor', value: this.#t } : opaque
      case attributeTypes.graph:
        return this.#g ? { kind: 'graph', value: this.#g } : opaque
      case attributeTypes.floats:
        return { kind: 'floats', value: this.#floats }
      case attributeTypes.ints:
        return { kind: 'ints', value: this.#ints }
      case attributeTypes.strings:
        return { kind: 'strings', value: this.#strings }
      case attributeTypes.tensors:
        return { kind: 'tensors', value: this.#tensors }
      case attributeTypes.graphs:
        return { kind: 'graphs', value: this.#graphs }
      default:
        return opaque
    }
  }

  /** Tensors and graphs. Each of these gives the type the field stands for, 0 for a field of another kind. */
  #parts(scan: Scan, index: number): number {
    if (scan.wire !== wireType.bytes) return 0
    switch (scan.number) {
      case A.t:
        refuseSecond(this.#t, 'tensor', scan)
        this.#t = this.#tensor(index)
        return attributeTypes.tensor
      case A.tensors:
        this.#tensors.push(this.#tensor(index))
        return attributeTypes.tensors
      case A.g:
        this.#g = this.#graph(scan)
        return attributeTypes.graph
      case A.graphs:
        this.#graphs.push(...[this.#graph(scan)].filter((graph) => graph !== undefined))
        return attributeTypes.graphs
      default:
        return 0
    }
  }

  #tensor(index: number): Tensor {
    this.#fields ??= this.#field.inside()
    return readTensor(this.#document, new Field(this.#fields, index))
  }

  #graph(scan: Scan): Graph | undefined {
    return this.#subgraphs.find((graph) => originOfGraph(graph)?.fields.start === scan.body)
  }

  #scalars(scan: Scan): number {
    if (scan.number === A.f && scan.wire === wireType.fixed32) {
      floatsAt(scan, (value) => {
        this.#f = value
      })
      return attributeTypes.float
    }
    if (isInt(scan, A.i)) {
      this.#i = scan.int
      return attributeTypes.int
    }
    if (isBytes(scan, A.s)) {
      if (this.#fits(scan)) this.#s = textAt(scan)
      return attributeTypes.string
    }
    return 0
  }

  #lists(scan: Scan): number {
    switch (scan.number) {
      case A.floats:
        return this.#fits(scan) && floatsAt(scan, (value) => this.#floats.push(value)) ? attributeTypes.floats : 0
      case A.ints:
        return this.#fits(scan) && integersAt(scan, (low, high) => this.#ints.push(int64Of(low, high)))
          ? attributeTypes.ints
          : 0
      case A.strings:
        if (!isBytes(scan, A.strings)) return 0
        if (this.#fits(scan)) this.#strings.push(textAt(scan))
        return attributeTypes.strings
      default:
        return 0
    }
  }

  #fits(scan: Scan): boolean {
    this.#bytes += scan.end - scan.body
    return this.#bytes <= largestContent
  }
}
