import type { Dim, ValueType } from '../../ir/index.ts'
import type { Field, Scan } from '../../wire/index.ts'
import { schema } from '../schema.ts'
import { int32At, isBytes, isInt, numberAt, textAt } from './scalars.ts'

/** Name and declared type of a value_info. */
export function readValueInfo(field: Field): { name: string; type: ValueType | undefined } {
  const scan = field.fields.scan(field.index)
  let name = ''
  let type: ValueType | undefined
  while (scan.next()) {
    if (isBytes(scan, schema.ValueInfo.name)) name = textAt(scan)
    else if (isBytes(scan, schema.ValueInfo.type)) type = readType(scan, field)
  }
  return { name, type }
}

/** A tensor type is read; sequences, maps, optionals and sparse tensors stay opaque. */
function readType(outer: Scan, origin: Field): ValueType {
  const scan = outer.inner()
  let type: ValueType = { kind: 'opaque', origin }
  while (scan.next()) if (isBytes(scan, schema.Type.tensor)) type = readTensorType(scan)
  return type
}

export function readTensorType(outer: Scan): ValueType & { kind: 'tensor' } {
  const scan = outer.inner()
  let dtype = 0
  let shape: Dim[] | undefined
  while (scan.next()) {
    if (isInt(scan, schema.TensorType.elemType)) dtype = int32At(scan)
    else if (isBytes(scan, schema.TensorType.shape)) shape = readShape(scan)
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
