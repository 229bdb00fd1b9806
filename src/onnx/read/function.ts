import type { Attribute, Model, ModelFunction } from '../../ir/index.ts'
import { Graph } from '../../ir/index.ts'
import type { Field } from '../../wire/index.ts'
import type { Document } from '../document.ts'
import { schema } from '../schema.ts'
import { readAttribute } from './attributes.ts'
import { checkMessage } from './check.ts'
import { fieldsOf, readNodes, readValueInfos } from './graph.ts'
import { readOpset } from './model.ts'
import { GraphOrigin } from './origin.ts'
import { textOf } from './scalars.ts'

const F = schema.Function

/** What the reader knows about a function: the origin of a `ModelFunction`. */
export class FunctionOrigin {
  readonly field: Field
  readonly opsetImports: ReadonlyMap<string, number>

  constructor(field: Field, opsetImports: ReadonlyMap<string, number>) {
    this.field = field
    this.opsetImports = opsetImports
  }
}

/** Reads a model-local function. Its body is a graph whose inputs and outputs have names and no declared types. */
export function readFunction(document: Document, model: Model, field: Field): ModelFunction {
  document.budget.take(16, field.source, field.start)
  const origin = new GraphOrigin(field.fields.part(field.body, field.end, document.budget))
  const body = new Graph()
  body.origin = origin
  const text = { name: '', domain: '', overload: '' }
  const attributes: string[] = []
  const defaults = new Map<string, Attribute>()
  const opsetImports = new Map<string, number>()
  const outputs: { name: string; index: number }[] = []
  for (const part of fieldsOf(origin.fields)) {
    const number = origin.fields.number(part.index)
    if (number === F.name) text.name = textOf(part)
    else if (number === F.domain) text.domain = textOf(part)
    else if (number === F.overload) text.overload = textOf(part)
    else if (number === F.docString) origin.docString = body.docString = textOf(part)
    else if (number === F.attribute) attributes.push(textOf(part))
    else if (number === F.opsetImport) readOpset(part, opsetImports)
    else if (number === F.output) outputs.push({ name: textOf(part), index: part.index })
    else if (number === F.metadata) checkMessage(part.at(), 'Entry')
    else if (number === F.input) {
      document.budget.take(8, part.source, part.start)
      const value = body.value(textOf(part))
      body.addInput(value)
      origin.owners[part.index] = value
    } else if (number === F.attributeProto) {
      const { name, attribute } = readAttribute(document, part, [])
      defaults.set(name, attribute)
    }
  }
  const fn: ModelFunction = {
    ...text,
    attributes,
    defaults,
    opsetImports,
    body,
    model,
    origin: new FunctionOrigin(field, new Map(opsetImports)),
    edited: false,
  }
  body.owner = fn
  body.name = origin.name = text.name
  readNodes(document, body, origin, F.node, 1)
  for (const { name, index } of outputs) {
    const value = body.value(name)
    origin.owners[index] = value
    body.loadOutput(body.outputs.length, value)
  }
  readValueInfos(body, origin, F.valueInfo)
  return fn
}
