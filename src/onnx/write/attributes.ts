import { bug } from '../../errors.ts'
import type { Attribute, Graph } from '../../ir/index.ts'
import { Tensor } from '../../ir/index.ts'
import type { Field, Piece } from '../../wire/index.ts'
import {
  bytesField,
  delimited,
  encodeText,
  floatField,
  intField,
  Patch,
  rangePiece,
  stringField,
} from '../../wire/index.ts'
import { originOfAttribute } from '../read/attributes.ts'
import { fieldOf } from '../read/origin.ts'
import { textOf } from '../read/scalars.ts'
import { attributeTypes, schema } from '../schema.ts'
import { graphPieces } from './graph.ts'
import type { Storage } from './storage.ts'
import { tensorPieces } from './tensor.ts'

const A = schema.Attribute

/** An AttributeProto as field `number`. One that was read keeps its bytes, but for its name and the graphs in it. */
export function attributePiece(number: number, name: string, attribute: Attribute, storage: Storage): Piece {
  const origin = originOfAttribute(attribute) ?? (attribute.kind === 'opaque' ? fieldOf(attribute.origin) : undefined)
  if (!origin) return delimited(number, newAttribute(name, attribute, storage))
  const fields = origin.inside()
  const patch = new Patch(fields)
  for (const index of patch.indices(A.name)) {
    if (textOf(fields.field(index)) !== name) patch.single(A.name, stringField(A.name, name))
  }
  patchParts(patch, attribute, storage)
  return patch.untouched ? asField(origin, number) : delimited(number, patch.pieces())
}

/** Writes anew the graphs that changed and the tensors whose data moves. */
function patchParts(patch: Patch, attribute: Attribute, storage: Storage): void {
  const isGraph = attribute.kind === 'graph' || attribute.kind === 'graphs'
  if (!isGraph && attribute.kind !== 'tensor' && attribute.kind !== 'tensors') return
  const number = A[attributeFields[attribute.kind]]
  const parts: readonly (Graph | Tensor)[] = Array.isArray(attribute.value) ? attribute.value : [attribute.value]
  for (const [i, index] of [...patch.indices(number)].entries()) {
    const part = parts[i]
    if (part instanceof Tensor) {
      if (storage.place(part)) patch.replace(index, delimited(number, tensorPieces(part, part.name, storage)))
    } else if (part && (part.edited || storage.touches(part))) {
      patch.replace(index, delimited(number, graphPieces(part, storage)))
    }
  }
}

const attributeFields = { tensor: 't', tensors: 'tensors', graph: 'g', graphs: 'graphs' } as const

function newAttribute(name: string, attribute: Attribute, storage: Storage): Piece[] {
  const patch = new Patch()
  patch.add(A.name, stringField(A.name, name))
  if (attribute.kind === 'ref') {
    patch.add(A.refAttrName, stringField(A.refAttrName, attribute.name))
    patch.add(A.type, intField(A.type, attribute.type))
    return patch.pieces()
  }
  if (attribute.kind === 'opaque') throw bug(`attribute "${name}" has no content`)
  patch.add(A.type, intField(A.type, attributeTypes[attribute.kind]))
  const [number, pieces] = content(attribute, storage)
  patch.add(number, ...pieces)
  return patch.pieces()
}

function content(
  attribute: Exclude<Attribute, { kind: 'ref' | 'opaque' }>,
  storage: Storage,
): [number: number, pieces: Piece[]] {
  const tensor = (number: number, value: Tensor) => delimited(number, tensorPieces(value, value.name, storage))
  const graph = (number: number, value: Graph) => delimited(number, graphPieces(value, storage))
  switch (attribute.kind) {
    case 'float':
      return [A.f, [floatField(A.f, attribute.value)]]
    case 'int':
      return [A.i, [intField(A.i, attribute.value)]]
    case 'string':
      return [A.s, [bytesField(A.s, encodeText(attribute.value))]]
    case 'tensor':
      return [A.t, [tensor(A.t, attribute.value)]]
    case 'graph':
      return [A.g, [graph(A.g, attribute.value)]]
    case 'floats':
      return [A.floats, attribute.value.map((value) => floatField(A.floats, value))]
    case 'ints':
      return [A.ints, attribute.value.map((value) => intField(A.ints, value))]
    case 'strings':
      return [A.strings, attribute.value.map((value) => bytesField(A.strings, encodeText(value)))]
    case 'tensors':
      return [A.tensors, attribute.value.map((value) => tensor(A.tensors, value))]
    case 'graphs':
      return [A.graphs, attribute.value.map((value) => graph(A.graphs, value))]
  }
}

/** The bytes of a field, under another number where it is not the same. */
function asField(origin: Field, number: number): Piece {
  return origin.fields.number(origin.index) === number
    ? rangePiece(origin.source, origin.start, origin.end)
    : delimited(number, [rangePiece(origin.source, origin.body, origin.end)])
}
