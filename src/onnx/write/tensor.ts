import { bug } from '../../errors.ts'
import type { Payload, Tensor } from '../../ir/index.ts'
import { dtypes } from '../../ir/index.ts'
import type { Piece } from '../../wire/index.ts'
import { bytesField, delimited, intField, Patch, rangePiece, streamPiece, stringField } from '../../wire/index.ts'
import { ExternalPayload } from '../data/external.ts'
import { RangePayload } from '../data/range.ts'
import { fieldOf } from '../read/origin.ts'
import { schema } from '../schema.ts'
import type { Storage } from './storage.ts'

const T = schema.Tensor

/** The content of a TensorProto. A tensor as it was read keeps its bytes; `name` is what it is called now. */
export function tensorPieces(tensor: Tensor, name: string, storage: Storage): Piece[] {
  const origin = fieldOf(tensor.origin)
  if (origin && tensor.name === name) return [rangePiece(origin.source, origin.body, origin.end)]
  const patch = new Patch()
  if (tensor.dims.length > 0) patch.add(T.dims, ...tensor.dims.map((dim) => intField(T.dims, dim)))
  patch.add(T.dataType, intField(T.dataType, tensor.dtype))
  if (name !== '') patch.add(T.name, stringField(T.name, name))
  if (tensor.dtype === dtypes.string) {
    patch.add(T.stringData, ...(tensor.strings?.() ?? []).map((bytes) => bytesField(T.stringData, bytes)))
  } else if (tensor.payload) patch.add(T.rawData, delimited(T.rawData, [payloadPiece(tensor.payload)]))
  else throw bug(`tensor "${name}" has no data`, { value: name })
  return patch.pieces()
}

/** The raw layout as a piece: copied where it lies in a file, made part by part where not. */
export function payloadPiece(payload: Payload): Piece {
  const range = payload instanceof ExternalPayload ? payload.range : payload
  if (!(range instanceof RangePayload)) return streamPiece(range)
  range.check()
  return rangePiece(range.source, range.start, range.end)
}
