import { bug } from '../../errors.ts'
import type { Payload, Tensor } from '../../ir/index.ts'
import { dtypes } from '../../ir/index.ts'
import type { Piece } from '../../wire/index.ts'
import { bytesField, delimited, intField, Patch, rangePiece, streamPiece, stringField } from '../../wire/index.ts'
import { ExternalPayload } from '../data/external.ts'
import { RangePayload } from '../data/range.ts'
import { fieldOf } from '../read/origin.ts'
import { textOf } from '../read/scalars.ts'
import { schema } from '../schema.ts'
import type { Place, Storage } from './storage.ts'
import { patchText } from './texts.ts'

const T = schema.Tensor
const dataFields = [T.rawData, T.floatData, T.int32Data, T.int64Data, T.doubleData, T.uint64Data, T.externalData]

/**
 * The content of a TensorProto. A tensor as it was read keeps its bytes, but for its name and, where `storage` moves it,
 * its data.
 */
export function tensorPieces(tensor: Tensor, name: string, storage: Storage): Piece[] {
  const origin = fieldOf(tensor.origin)
  const place = storage.place(tensor)
  if (!origin) return newTensor(tensor, name, place ?? { kind: 'inline' })
  const fields = origin.inside()
  const patch = new Patch(fields)
  patchText(patch, T.name, name, (index) => textOf(fields.field(index)))
  if (place) {
    for (const number of dataFields) patch.drop(number)
    patch.drop(T.dataLocation)
    addData(patch, tensor, place)
  }
  return patch.untouched ? [rangePiece(origin.source, origin.body, origin.end)] : patch.pieces()
}

function newTensor(tensor: Tensor, name: string, place: Place): Piece[] {
  const patch = new Patch()
  patch.add(T.dims, ...tensor.dims.map((dim) => intField(T.dims, dim)))
  patch.add(T.dataType, intField(T.dataType, tensor.dtype))
  if (name !== '') patch.add(T.name, stringField(T.name, name))
  if (tensor.dtype === dtypes.string) {
    patch.add(T.stringData, ...(tensor.strings?.() ?? []).map((bytes) => bytesField(T.stringData, bytes)))
  } else addData(patch, tensor, place)
  return patch.pieces()
}

function addData(patch: Patch, { payload, name }: Tensor, place: Place): void {
  if (!payload) throw bug(`tensor "${name}" has no data`, { value: name })
  if (place.kind === 'inline') {
    patch.add(T.rawData, delimited(T.rawData, [payloadPiece(payload)]))
    return
  }
  const entries = { location: place.location, offset: String(place.offset), length: String(place.length) }
  for (const [key, value] of Object.entries(entries)) {
    const entry = [stringField(schema.Entry.key, key), stringField(schema.Entry.value, value)]
    patch.add(T.externalData, delimited(T.externalData, entry))
  }
  patch.add(T.dataLocation, intField(T.dataLocation, 1))
}

/** The raw layout as a piece: copied where it lies in a file, made part by part where not. */
export function payloadPiece(payload: Payload): Piece {
  const range = rangeOf(payload)
  if (!range) return streamPiece(payload)
  range.check()
  return rangePiece(range.source, range.start, range.end)
}

/** Where the raw layout lies in a file; `undefined` when it does not. Opens the file of external data. */
export function rangeOf(payload: Payload): RangePayload | undefined {
  const range = payload instanceof ExternalPayload ? payload.range : payload
  return range instanceof RangePayload ? range : undefined
}
