import { brokenGraph } from '../../errors.ts'
import type { Attributes, Node, Value } from '../../ir/index.ts'
import { Graph } from '../../ir/index.ts'
import type { Field, Scan } from '../../wire/index.ts'
import { place, wireType } from '../../wire/index.ts'
import type { Document } from '../document.ts'
import { schema } from '../schema.ts'
import { readAttributes } from './attributes.ts'
import { checkMessage } from './check.ts'
import { int32At, isBytes, isInt, refuseSecond, textAt } from './scalars.ts'
import { entryAt } from './tensor.ts'

const N = schema.Node
const A = schema.Attribute

/** A graph in an attribute of a node, found and not yet read. */
export interface Nested {
  readonly graph: Graph
  readonly start: number
  readonly end: number
}

/** What the fields of a node say. */
class Found {
  name = ''
  opType = ''
  domain = ''
  overload = ''
  docString = ''
  hasAttributes = false
  hasExternal = false
  metadata: Map<string, string> | undefined
  readonly inputs: (Value | undefined)[] = []
  readonly outputs: (Value | undefined)[] = []
  readonly nested: Nested[] = []
}

/** Reads the nodes of one graph. Attributes are looked at only to find the graphs in them. */
export class NodeReader {
  readonly #document: Document
  readonly #graph: Graph
  /** Reads the attributes of any node when they are asked for. */
  readonly #attributes = (node: Node): Attributes =>
    readAttributes(this.#document, node.origin as Field, node.subgraphs)

  constructor(document: Document, graph: Graph) {
    this.#document = document
    this.#graph = graph
  }

  read(field: Field): { node: Node; nested: readonly Nested[] } {
    this.#document.budget.take(16, field.source, field.start)
    const found = new Found()
    const scan = field.fields.scan(field.index)
    while (scan.next()) this.#take(scan, found)
    const { name, opType, domain, overload, docString, metadata, nested, inputs, outputs } = found
    if (opType === '') {
      throw brokenGraph(`a node has no operator at byte ${field.start}`, name, place(field.source, field.start))
    }
    this.#refuseSecondProducers(outputs, name, field)
    const init = {
      name,
      opType,
      domain,
      overload,
      docString,
      origin: field,
      ...(found.hasAttributes && { attributes: this.#attributes }),
      ...(nested.length > 0 && { subgraphs: nested.map(({ graph }) => graph) }),
      ...(metadata && { metadata }),
    }
    const node = this.#graph.load(init, inputs, outputs)
    if (found.hasExternal) this.#document.externalNodes.push(node)
    return { node, nested }
  }

  #take(scan: Scan, found: Found): void {
    if (isBytes(scan, N.input)) found.inputs.push(this.#used(scan))
    else if (isBytes(scan, N.output)) found.outputs.push(this.#defined(scan))
    else if (isBytes(scan, N.name)) found.name = textAt(scan)
    else if (isBytes(scan, N.opType)) found.opType = this.#document.intern(textAt(scan))
    else if (isBytes(scan, N.domain)) found.domain = this.#document.intern(textAt(scan))
    else if (isBytes(scan, N.overload)) found.overload = this.#document.intern(textAt(scan))
    else if (isBytes(scan, N.docString)) found.docString = textAt(scan)
    else if (isBytes(scan, N.metadata)) found.metadata = this.#entry(scan, found.metadata)
    else if (isBytes(scan, N.deviceConfigurations)) checkMessage(scan, 'NodeDevice')
    else if (isBytes(scan, N.attribute)) {
      found.hasAttributes = true
      found.hasExternal = lookInside(scan, found.nested) || found.hasExternal
    }
  }

  #entry(scan: Scan, entries = new Map<string, string>()): Map<string, string> {
    this.#document.budget.take(4, scan.source, scan.start)
    return entries.set(...entryAt(scan))
  }

  #used(scan: Scan): Value | undefined {
    const name = textAt(scan)
    return name === '' ? undefined : (this.#graph.resolve(name) ?? this.#value(name, scan))
  }

  #defined(scan: Scan): Value | undefined {
    const name = textAt(scan)
    return name === '' ? undefined : this.#value(name, scan)
  }

  #value(name: string, scan: Scan): Value {
    const known = this.#graph.values.get(name)
    if (known) return known
    this.#document.budget.take(8, scan.source, scan.start)
    return this.#graph.value(name)
  }

  #refuseSecondProducers(outputs: readonly (Value | undefined)[], name: string, field: Field): void {
    for (const [i, value] of outputs.entries()) {
      if (!value) continue
      if (value.producer || value.isInput || value.initializer || outputs.indexOf(value) !== i) {
        throw brokenGraph(
          `node "${name}" at byte ${field.start} defines "${value.name}", which is defined already`,
          name,
          place(field.source, field.start),
        )
      }
    }
  }
}

/** What a look at an attribute brings to light: the graphs in it, and whether a tensor of it has external data. */
function lookInside(attribute: Scan, nested: Nested[]): boolean {
  const scan = attribute.inner()
  let external = false
  let graph: true | undefined
  while (scan.next()) {
    if (scan.wire !== wireType.bytes) continue
    if (scan.number === A.g) {
      refuseSecond(graph, 'graph', scan)
      graph = true
    }
    if (scan.number === A.g || scan.number === A.graphs)
      nested.push({ graph: new Graph(), start: scan.body, end: scan.end })
    else if (scan.number === A.t || scan.number === A.tensors) external = lookAtTensor(scan) || external
    else if (scan.number === A.sparseTensor || scan.number === A.sparseTensors) checkMessage(scan, 'SparseTensor')
    else if (scan.number === A.typeProto || scan.number === A.typeProtos) checkMessage(scan, 'Type')
  }
  return external
}

function lookAtTensor(field: Scan): boolean {
  checkMessage(field, 'Tensor', false)
  const scan = field.inner()
  let external = false
  while (scan.next()) if (isInt(scan, schema.Tensor.dataLocation)) external = int32At(scan) === 1
  return external
}
