import { brokenGraph, tooDeep } from '../../errors.ts'
import type { Graph, Value } from '../../ir/index.ts'
import type { Fields } from '../../wire/index.ts'
import { depthLimit, Field, place, wireType } from '../../wire/index.ts'
import type { Document } from '../document.ts'
import { schema } from '../schema.ts'
import { checkMessage } from './check.ts'
import { NodeReader } from './node.ts'
import { GraphOrigin } from './origin.ts'
import { textOf } from './scalars.ts'
import { readSparse } from './sparse.ts'
import { readTensor } from './tensor.ts'
import { readValueInfo } from './types.ts'

const G = schema.Graph

/** Messages between a graph and a graph nested in it: node, attribute, graph. */
const nestingDepth = 3

/** Fills `graph` from a GraphProto. `depth` is the number of messages around it. */
export function readGraph(document: Document, graph: Graph, fields: Fields, depth: number): void {
  const origin = new GraphOrigin(fields)
  graph.origin = origin
  for (const field of fieldsOf(fields)) {
    const number = fields.number(field.index)
    if (number === G.name) origin.name = graph.name = textOf(field)
    else if (number === G.docString) origin.docString = graph.docString = textOf(field)
    else if (number === G.input) origin.owners[field.index] = readInput(document, graph, field)
    else if (number === G.initializer || number === G.sparseInitializer) {
      origin.owners[field.index] = readInitializer(document, graph, field, number)
    } else if (number === G.quantizationAnnotation) checkMessage(field.at(), 'Annotation')
    else if (number === G.metadata) checkMessage(field.at(), 'Entry')
  }
  readNodes(document, graph, origin, G.node, depth)
  readOutputs(graph, origin)
  readValueInfos(graph, origin, G.valueInfo)
}

/** The fields with a length, which all fields of a graph or function that we read are. */
export function* fieldsOf(fields: Fields): Generator<Field> {
  for (let i = 0; i < fields.count; i++) if (fields.wire(i) === wireType.bytes) yield new Field(fields, i)
}

function readInput(document: Document, graph: Graph, field: Field): Value {
  const { name, type } = readValueInfo(field)
  document.budget.take(8, field.source, field.start)
  const value = graph.value(name)
  if (value.isInput)
    throw brokenGraph(`"${name}" is an input of the graph twice`, name, place(field.source, field.start))
  value.load(type, field)
  graph.addInput(value)
  return value
}

function readInitializer(document: Document, graph: Graph, field: Field, number: number): Value {
  const tensor = number === G.initializer ? readTensor(document, field) : readSparse(document, field)
  const value = graph.value(tensor.name)
  value.loadInitializer(tensor, field)
  return value
}

/** Reads the nodes of a graph or function body and the graphs nested in them. */
export function readNodes(document: Document, graph: Graph, origin: GraphOrigin, number: number, depth: number): void {
  const { fields } = origin
  const reader = new NodeReader(document, graph)
  for (let i = 0; i < fields.count; i++) {
    if (fields.number(i) !== number || fields.wire(i) !== wireType.bytes) continue
    const { node, nested } = reader.read(new Field(fields, i))
    origin.owners[i] = node
    for (const { graph: inner, start, end } of nested) {
      if (depth + 2 * nestingDepth > depthLimit) throw tooDeep(place(fields.source, start))
      readGraph(document, inner, fields.part(start, end, document.budget), depth + nestingDepth)
    }
  }
}

/** Declared types of inner values. One that no node, input or initializer defines stays a field without a value. */
export function readValueInfos(graph: Graph, origin: GraphOrigin, number: number): void {
  for (const field of fieldsOf(origin.fields)) {
    if (origin.fields.number(field.index) !== number) continue
    const { name, type } = readValueInfo(field)
    const value = graph.values.get(name)
    if (!value) continue
    origin.owners[field.index] = value
    if (value.type === undefined) value.load(type, field)
  }
}

function readOutputs(graph: Graph, origin: GraphOrigin): void {
  for (const field of fieldsOf(origin.fields)) {
    if (origin.fields.number(field.index) !== G.output) continue
    const { name, type } = readValueInfo(field)
    const value = graph.resolve(name) ?? graph.value(name)
    origin.owners[field.index] = value
    if (value.graph === graph && !value.isInput) value.load(type, field)
    graph.loadOutput(graph.outputs.length, value)
  }
}
