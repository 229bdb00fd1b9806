import type { Dim, Value, ValueType } from '../../ir/index.ts'
import type { Field, Piece } from '../../wire/index.ts'
import { delimited, intField, Patch, rangePiece, stringField } from '../../wire/index.ts'
import { fieldOf } from '../read/origin.ts'
import { schema } from '../schema.ts'

const V = schema.ValueInfo

/** The content of a ValueInfoProto: `origin`, where the value has one, with name and type as they are now. */
export function valueInfoPieces(value: Value, origin?: Field): Piece[] {
  const patch = new Patch(origin?.inside())
  if (!origin) patch.add(V.name, stringField(V.name, value.name))
  patch.single(V.type, value.type && typePiece(value.type))
  return patch.pieces()
}

function typePiece(type: ValueType): Piece {
  if (type.kind === 'opaque') return opaqueType(type.origin)
  const fields = [intField(schema.TensorType.elemType, type.dtype)]
  if (type.shape) fields.push(delimited(schema.TensorType.shape, type.shape.map(dimPiece)))
  return delimited(V.type, [delimited(schema.Type.tensor, fields)])
}

/** A type that is not interpreted is copied from the value_info it was read from. */
function opaqueType(origin: unknown): Piece {
  const info = fieldOf(origin)
  const index = info && [...new Patch(info.inside()).indices(V.type)].at(-1)
  if (info === undefined || index === undefined) return delimited(V.type, [])
  const fields = info.inside()
  return rangePiece(fields.source, fields.startOf(index), fields.endOf(index))
}

function dimPiece(dim: Dim): Piece {
  const { value, param } = schema.Dimension
  const content = dim === undefined ? [] : [typeof dim === 'number' ? intField(value, dim) : stringField(param, dim)]
  return delimited(schema.Shape.dim, content)
}
