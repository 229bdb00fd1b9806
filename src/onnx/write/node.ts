import type { Node, Value } from '../../ir/index.ts'
import type { Field, Piece } from '../../wire/index.ts'
import { delimited, Patch, rangePiece } from '../../wire/index.ts'
import { fieldOf } from '../read/origin.ts'
import { textOf } from '../read/scalars.ts'
import { schema } from '../schema.ts'
import { attributePiece } from './attributes.ts'
import { patchEntries } from './entries.ts'
import type { Storage } from './storage.ts'
import { patchText, patchTexts } from './texts.ts'

const N = schema.Node

/** A NodeProto as field `number`: copied when nothing in it changed, patched field by field otherwise. */
export function nodePiece(number: number, node: Node, storage: Storage): Piece {
  const origin = fieldOf(node.origin)
  if (origin && !nodeChanged(node, storage)) {
    return origin.fields.number(origin.index) === number
      ? rangePiece(origin.source, origin.start, origin.end)
      : delimited(number, [rangePiece(origin.source, origin.body, origin.end)])
  }
  const fields = origin?.inside()
  const patch = new Patch(fields)
  const text = (index: number) => (fields ? textOf(fields.field(index)) : '')
  if (!origin || node.edited) {
    patchTexts(patch, N.input, node.inputs.map(nameOf), text)
    patchTexts(patch, N.output, node.outputs.map(nameOf), text)
    patchText(patch, N.name, node.name, text)
    patchText(patch, N.docString, node.docString, text)
    patchEntries(patch, fields, N.metadata, node.metadata)
  }
  if (!origin) {
    patchText(patch, N.opType, node.opType, text)
    patchText(patch, N.domain, node.domain, text)
    patchText(patch, N.overload, node.overload, text)
  }
  patchAttributes(patch, origin, node, storage)
  return delimited(number, patch.pieces())
}

/** Whether a node that was read is written in another way, because of itself or a graph in it. */
export function nodeChanged(node: Node, storage: Storage): boolean {
  if (node.edited || storage.touches(node)) return true
  return node.subgraphs.some((graph) => graph.edited || storage.touches(graph))
}

/** The name of an omitted input or output is empty. */
function nameOf(value: Value | undefined): string {
  return value?.name ?? ''
}

function patchAttributes(patch: Patch, origin: Field | undefined, node: Node, storage: Storage): void {
  const left = new Map(node.attributes)
  for (const index of patch.indices(N.attribute)) {
    const name = attributeName(origin, index)
    const attribute = left.get(name)
    if (attribute) patch.replace(index, attributePiece(N.attribute, name, attribute, storage))
    else patch.replace(index)
    left.delete(name)
  }
  for (const [name, attribute] of left) patch.add(N.attribute, attributePiece(N.attribute, name, attribute, storage))
}

function attributeName(origin: Field | undefined, index: number): string {
  const fields = origin?.inside().inside(index)
  const last = fields && [...new Patch(fields).indices(schema.Attribute.name)].at(-1)
  return fields && last !== undefined ? textOf(fields.field(last)) : ''
}
