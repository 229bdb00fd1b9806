import type { ModelFunction, Value } from '../../ir/index.ts'
import type { Piece } from '../../wire/index.ts'
import { Patch, stringField } from '../../wire/index.ts'
import { FunctionOrigin } from '../read/function.ts'
import { originOfGraph } from '../read/origin.ts'
import { textOf } from '../read/scalars.ts'
import { schema } from '../schema.ts'
import { attributePiece } from './attributes.ts'
import { patchInner, patchNodes } from './graph.ts'
import { patchOpsets } from './opsets.ts'
import type { Storage } from './storage.ts'
import { patchText, patchTexts } from './texts.ts'

const F = schema.Function

/** The content of a FunctionProto. Names and parameters of a function that was read do not change. */
export function functionPieces(fn: ModelFunction, storage: Storage): Piece[] {
  const fields = originOfGraph(fn.body)?.fields
  const patch = new Patch(fields)
  const text = (index: number) => (fields ? textOf(fields.field(index)) : '')
  patchText(patch, F.name, fn.name, text)
  patchText(patch, F.domain, fn.domain, text)
  patchText(patch, F.overload, fn.overload, text)
  patchText(patch, F.docString, fn.body.docString, text)
  patchTexts(patch, F.input, fn.body.inputs.map(nameOf), text)
  patchTexts(patch, F.output, fn.body.outputs.map(nameOf), text)
  if (!(fn.origin instanceof FunctionOrigin)) {
    patch.add(F.attribute, ...fn.attributes.map((name) => stringField(F.attribute, name)))
    for (const [name, attribute] of fn.defaults) {
      patch.add(F.attributeProto, attributePiece(F.attributeProto, name, attribute, storage))
    }
  }
  patchOpsets(patch, fields, F.opsetImport, fn.opsetImports)
  patchNodes(patch, F.node, fn.body, storage)
  patchInner(patch, F.valueInfo, fn.body)
  return patch.pieces()
}

function nameOf(value: Value): string {
  return value.name
}
