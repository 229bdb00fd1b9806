import { repeatedField } from '../../errors.ts'
import { Model } from '../../ir/index.ts'
import { Field, place, wireType } from '../../wire/index.ts'
import type { Document } from '../document.ts'
import { schema } from '../schema.ts'
import { checkMessage } from './check.ts'
import { readFunction } from './function.ts'
import { readGraph } from './graph.ts'
import { isBytes, isInt, numberAt, textAt } from './scalars.ts'
import { entryAt } from './tensor.ts'

const M = schema.Model

/** Reads the model a document holds. Opset imports are read first: files may have them behind the graph. */
export function readModel(document: Document): Model {
  const model = new Model()
  const { fields } = document
  const opsets = new Map<string, number>()
  const metadata = new Map<string, string>()
  let graph: Field | undefined
  for (let i = 0; i < fields.count; i++) {
    const number = fields.number(i)
    if (number === M.graph && fields.wire(i) === wireType.bytes) {
      if (graph) throw repeatedField('graph', place(fields.source, fields.startOf(i)))
      graph = new Field(fields, i)
    } else readModelField(model, new Field(fields, i), opsets, metadata)
  }
  model.load(opsets, metadata)
  model.origin = document
  document.header = {
    irVersion: model.irVersion,
    producerName: model.producerName,
    producerVersion: model.producerVersion,
    docString: model.docString,
  }
  if (graph) readGraph(document, model.graph, fields.part(graph.body, graph.end, document.budget), 1)
  for (let i = 0; i < fields.count; i++) {
    if (fields.number(i) !== M.functions || fields.wire(i) !== wireType.bytes) continue
    model.functions.push(readFunction(document, model, new Field(fields, i)))
  }
  return model
}

function readModelField(model: Model, field: Field, opsets: Map<string, number>, metadata: Map<string, string>): void {
  const scan = field.at()
  if (isInt(scan, M.irVersion)) model.irVersion = numberAt(scan)
  else if (isBytes(scan, M.producerName)) model.producerName = textAt(scan)
  else if (isBytes(scan, M.producerVersion)) model.producerVersion = textAt(scan)
  else if (isBytes(scan, M.docString)) model.docString = textAt(scan)
  else if (isBytes(scan, M.opsetImport)) readOpset(field, opsets)
  else if (isBytes(scan, M.metadata)) metadata.set(...entryAt(scan))
  else if (isBytes(scan, M.trainingInfo)) checkMessage(scan, 'Training', true, 1)
  else if (isBytes(scan, M.configuration)) checkMessage(scan, 'Device')
}

/** Reads one opset import. `ai.onnx` is the long name of the default domain. */
export function readOpset(field: Field, opsets: Map<string, number>): void {
  const { domain, version } = opsetOf(field)
  opsets.set(domain, version)
}

export function opsetOf(field: Field): { domain: string; version: number } {
  const scan = field.fields.scan(field.index)
  let domain = ''
  let version = 0
  while (scan.next()) {
    if (isBytes(scan, schema.OperatorSet.domain)) domain = textAt(scan)
    else if (isInt(scan, schema.OperatorSet.version)) version = numberAt(scan)
  }
  return { domain: domain === 'ai.onnx' ? '' : domain, version }
}
