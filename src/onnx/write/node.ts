import type { Node, Value } from '../../ir/index.ts'
import type { Field, Piece } from '../../wire/index.ts'
import { delimited, Patch, rangePiece, stringField } from '../../wire/index.ts'
import { fieldOf } from '../read/origin.ts'
import { textOf } from '../read/scalars.ts'
import { schema } from '../schema.ts'
import { attributePiece } from './attributes.ts'
import { patchEntries } from './entries.ts'
import type { Storage } from './storage.ts'

const N = schema.Node

/** A NodeProto as field `number`: copied when nothing in it changed, patched field by field otherwise. */
export function nodePiece(number: number, node: Node, storage: Storage): Piece {
  const origin = fieldOf(node.origin)
  if (origin && !node.edited && !node.subgraphs.some((graph) => graph.edited)) {
    return origin.fields.number(origin.index) === number
      ? rangePiece(origin.source, origin.start, origin.end)
      : delimited(number, [rangePiece(origin.source, origin.body, origin.end)])
  }
  const fields = origin?.inside()
  const patch = new Patch(fields)
  const text = (index: number) => (fields ? textOf(fields.field(index)) : '')
  if (!origin || node.edited) {
    patchNames(patch, N.input, node.inputs, text)
    patchNames(patch, N.output, node.outputs, text)
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

/** Brings a list of names up to date. The name of an omitted input or output is empty. */
export function patchNames(
  patch: Patch,
  number: number,
  values: readonly (Value | undefined)[],
  text: (index: number) => string,
): void {
  const slots = [...patch.indices(number)]
  for (const [i, value] of values.entries()) {
    const name = value?.name ?? ''
    const slot = slots[i]
    if (slot === undefined) patch.add(number, stringField(number, name))
    else if (text(slot) !== name) patch.replace(slot, stringField(number, name))
  }
  for (const slot of slots.slice(values.length)) patch.replace(slot)
}

/** Brings a single text field up to date. */
export function patchText(patch: Patch, number: number, now: string, text: (index: number) => string): void {
  const last = [...patch.indices(number)].at(-1)
  if (now === (last === undefined ? '' : text(last))) return
  patch.single(number, now === '' ? undefined : stringField(number, now))
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
