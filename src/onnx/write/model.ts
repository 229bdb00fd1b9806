import type { Model, ModelFunction } from '../../ir/index.ts'
import type { Piece } from '../../wire/index.ts'
import { delimited, intField, Patch, wireType } from '../../wire/index.ts'
import { documentOf } from '../document.ts'
import { FunctionOrigin } from '../read/function.ts'
import { textOf } from '../read/scalars.ts'
import { schema } from '../schema.ts'
import { patchEntries } from './entries.ts'
import { functionPieces } from './function.ts'
import { graphPieces } from './graph.ts'
import { patchOpsets } from './opsets.ts'
import type { Storage } from './storage.ts'
import { patchText } from './texts.ts'

const M = schema.Model

/** The whole file, planned: one range when nothing changed. */
export function modelPieces(model: Model, storage: Storage): Piece[] {
  const document = documentOf(model)
  const fields = document?.fields
  const patch = new Patch(fields)
  const text = (index: number) => (fields ? textOf(fields.field(index)) : '')
  if (model.irVersion !== (document?.header.irVersion ?? 0)) {
    patch.single(M.irVersion, intField(M.irVersion, model.irVersion), wireType.varint)
  }
  patchText(patch, M.producerName, model.producerName, text)
  patchText(patch, M.producerVersion, model.producerVersion, text)
  patchText(patch, M.docString, model.docString, text)
  if (!document || model.headerEdited) {
    patchOpsets(patch, fields, M.opsetImport, model.opsetImports)
    patchEntries(patch, fields, M.metadata, model.metadata)
  }
  if (!document || model.graph.edited || storage.touches(model.graph))
    patch.single(M.graph, delimited(M.graph, graphPieces(model.graph, storage)))
  patchFunctions(patch, model, storage)
  return patch.pieces()
}

function patchFunctions(patch: Patch, model: Model, storage: Storage): void {
  const left = new Set(model.functions)
  for (const index of patch.indices(M.functions)) {
    const fn = model.functions.find((f) => f.origin instanceof FunctionOrigin && f.origin.field.index === index)
    if (!fn) patch.replace(index)
    else if (functionChanged(fn) || storage.touches(fn.body))
      patch.replace(index, delimited(M.functions, functionPieces(fn, storage)))
    if (fn) left.delete(fn)
  }
  for (const fn of left) patch.add(M.functions, delimited(M.functions, functionPieces(fn, storage)))
}

function functionChanged(fn: ModelFunction): boolean {
  const old = fn.origin instanceof FunctionOrigin ? fn.origin.opsetImports : undefined
  const sameOpsets = old?.size === fn.opsetImports.size && [...fn.opsetImports].every(([d, v]) => old.get(d) === v)
  return fn.edited || fn.body.edited || !sameOpsets
}
