import type { Dim, ValueType } from '../../ir/index.ts'
import type { Field, Scan } from '../../wire/index.ts'
import { wireType } from '../../wire/index.ts'
import { schema } from '../schema.ts'
import { checkMessage } from './check.ts'
import { int32At, isBytes, isInt, numberAt, refuseSecond, textAt } from './scalars.ts'

/** Name and declared type of a value_info. */
export function readValueInfo(field: Field): { name: string; type: ValueType | undefined } {
  const scan = field.fields.scan(field.index)
  let name = ''
  let type: ValueType | undefined
  while (scan.next()) {
    if (isBytes(scan, schema.ValueInfo.name)) name = textAt(scan)
    else if (isBytes(scan, schema.ValueInfo.metadata)) checkMessage(scan, 'Entry')
    else if (isBytes(scan, schema.ValueInfo.type)) {
      refuseSecond(type, 'type', scan)
      type = readType(scan, field)
    }
  }
  return { name, type }
}

const typeNumbers: readonly number[] = Object.values(schema.Type).filter((n) => n !== schema.Type.denotation)

/** A tensor type is read; sequences, maps, optionals and sparse tensors stay opaque. Of several the last one counts. */
function readType(outer: Scan, origin: Field): ValueType {
  const scan = outer.inner()
  let type: ValueType = { kind: 'opaque', origin }
  let tensor: ValueType | undefined
  while (scan.next()) {
    if (scan.wire !== wireType.bytes || !typeNumbers.includes(scan.number)) continue
    if (scan.number === schema.Type.tensor) {
      refuseSecond(tensor, 'tensor type', scan)
      type = tensor = readTensorType(scan)
    } else type = { kind: 'opaque', origin }
  }
  if (type.kind === 'opaque') checkMessage(outer, 'Type')
  return type
}

export function readTensorType(outer: Scan): ValueType & { kind: 'tensor' } {
  const scan = outer.inner()
  let dtype = 0
  let shape: Dim[] | undefined
  while (scan.next()) {
    if (isInt(scan, schema.TensorType.elemType)) dtype = int32At(scan)
    else if (isBytes(scan, schema.TensorType.shape)) {
      refuseSecond(shape, 'shape', scan)
      shape = readShape(scan)
    }
  }
  return { kind: 'tensor', dtype, shape }
}

function readShape(outer: Scan): Dim[] {
  const scan = outer.inner()
  const dims: Dim[] = []
  while (scan.next()) if (isBytes(scan, schema.Shape.dim)) dims.push(readDim(scan))
  return dims
}

function readDim(outer: Scan): Dim {
  const scan = outer.inner()
  let dim: Dim
  while (scan.next()) {
    if (isInt(scan, schema.Dimension.value)) dim = numberAt(scan)
    else if (isBytes(scan, schema.Dimension.param)) dim = textAt(scan)
  }
  // An empty name says as little as no name.
  return dim === '' ? undefined : dim
}
