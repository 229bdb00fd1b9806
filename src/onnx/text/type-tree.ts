import type { Dim, DType, ValueType } from '../../ir/index.ts'
import type { Field, Piece, Scan } from '../../wire/index.ts'
import { delimited, intField, stringField } from '../../wire/index.ts'
import { fieldOf } from '../read/origin.ts'
import { int32At, isBytes, isInt, textAt } from '../read/scalars.ts'
import { readTensorType } from '../read/types.ts'
import { schema } from '../schema.ts'
import { encodedField } from './encoded.ts'

/** A declared type as text nests it. The IR interprets `tensor` only; it keeps the others as fields of a value_info. */
export type TypeTree =
  | { readonly kind: 'tensor' | 'sparse_tensor'; readonly dtype: DType; readonly shape: readonly Dim[] | undefined }
  | { readonly kind: 'seq' | 'optional'; readonly element: TypeTree }
  | { readonly kind: 'map'; readonly key: DType; readonly value: TypeTree }
  | { readonly kind: 'opaque'; readonly domain: string; readonly name: string }

const T = schema.Type
/** A type nobody declares. */
const nothing: TypeTree = { kind: 'opaque', domain: '', name: '' }

/** The type of the IR. An opaque one gets an origin like the reader's: the field of a value_info that declares it. */
export function typeOf(tree: TypeTree): ValueType {
  if (tree.kind === 'tensor') return { kind: 'tensor', dtype: tree.dtype, shape: tree.shape }
  return { kind: 'opaque', origin: encodedField([delimited(schema.ValueInfo.type, [pieceOf(tree)])]) }
}

function pieceOf(tree: TypeTree): Piece {
  switch (tree.kind) {
    case 'tensor':
    case 'sparse_tensor': {
      const shape = tree.shape === undefined ? [] : [delimited(schema.TensorType.shape, tree.shape.map(dimPiece))]
      const number = tree.kind === 'tensor' ? T.tensor : T.sparseTensor
      return delimited(number, [intField(schema.TensorType.elemType, tree.dtype), ...shape])
    }
    case 'seq':
      return delimited(T.sequence, [delimited(1, [pieceOf(tree.element)])])
    case 'optional':
      return delimited(T.optional, [delimited(1, [pieceOf(tree.element)])])
    case 'map':
      return delimited(T.map, [intField(1, tree.key), delimited(2, [pieceOf(tree.value)])])
    case 'opaque':
      return delimited(T.opaque, [stringField(1, tree.domain), stringField(2, tree.name)])
  }
}

function dimPiece(dim: Dim): Piece {
  const { value, param } = schema.Dimension
  const content = dim === undefined ? [] : [typeof dim === 'number' ? intField(value, dim) : stringField(param, dim)]
  return delimited(schema.Shape.dim, content)
}

/** The tree of a type of the IR. */
export function treeOf(type: ValueType): TypeTree {
  if (type.kind === 'tensor') return { kind: 'tensor', dtype: type.dtype, shape: type.shape }
  const info: Field | undefined = fieldOf(type.origin)
  if (info === undefined) return nothing
  const scan = info.fields.scan(info.index)
  let tree = nothing
  while (scan.next()) if (isBytes(scan, schema.ValueInfo.type)) tree = readTree(scan.inner())
  return tree
}

function readTree(scan: Scan): TypeTree {
  let tree = nothing
  while (scan.next()) {
    if (isBytes(scan, T.tensor)) tree = readTensorType(scan)
    else if (isBytes(scan, T.sparseTensor)) tree = { ...readTensorType(scan), kind: 'sparse_tensor' }
    else if (isBytes(scan, T.sequence)) tree = { kind: 'seq', element: readMember(scan.inner(), 1) }
    else if (isBytes(scan, T.optional)) tree = { kind: 'optional', element: readMember(scan.inner(), 1) }
    else if (isBytes(scan, T.map))
      tree = { kind: 'map', key: readKey(scan.inner()), value: readMember(scan.inner(), 2) }
    else if (isBytes(scan, T.opaque)) tree = readOpaque(scan.inner())
  }
  return tree
}

function readMember(scan: Scan, number: number): TypeTree {
  let tree = nothing
  while (scan.next()) if (isBytes(scan, number)) tree = readTree(scan.inner())
  return tree
}

function readKey(scan: Scan): DType {
  let key = 0
  while (scan.next()) if (isInt(scan, 1)) key = int32At(scan)
  return key
}

function readOpaque(scan: Scan): TypeTree {
  const words = ['', '']
  while (scan.next()) if (isBytes(scan, 1) || isBytes(scan, 2)) words[scan.number - 1] = textAt(scan)
  return { kind: 'opaque', domain: words[0] ?? '', name: words[1] ?? '' }
}
