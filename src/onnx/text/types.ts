import type { Dim, ValueType } from '../../ir/index.ts'
import { dtypeName, dtypes } from '../../ir/index.ts'
import type { Cursor } from './cursor.ts'
import { quoteId } from './words.ts'

/** Whether a type comes next. */
export function seesType(cursor: Cursor): boolean {
  const word = cursor.peekIdentifier()
  return word !== undefined && word in dtypes
}

export function parseType(cursor: Cursor): ValueType {
  return { kind: 'tensor', ...parseTensorType(cursor) }
}

/** `float` is a scalar, `float[]` has no known rank, `float[2,N,?]` has rank 3. */
export function parseTensorType(cursor: Cursor): { dtype: number; shape: readonly Dim[] | undefined } {
  const word = cursor.identifier('a type')
  if (!(word in dtypes)) throw cursor.error(`"${word}" is not an element type`)
  const dtype = dtypes[word as keyof typeof dtypes]
  if (!cursor.sees('[')) return { dtype, shape: [] }
  const dims = cursor.list('[', ']', () => parseDim(cursor))
  return { dtype, shape: dims.length === 0 ? undefined : dims }
}

function parseDim(cursor: Cursor): Dim {
  if (cursor.takes('?')) return undefined
  return cursor.optionalIdentifier() ?? Number(cursor.integer('a dimension'))
}

export function printType(type: ValueType): string {
  return type.kind === 'tensor' ? printTensorType(type.dtype, type.shape) : 'opaque()'
}

export function printTensorType(dtype: number, shape: readonly Dim[] | undefined): string {
  const name = dtypeName(dtype) ?? 'undefined'
  if (shape === undefined) return `${name}[]`
  return shape.length === 0 ? name : `${name}[${shape.map(printDim).join(',')}]`
}

function printDim(dim: Dim): string {
  return dim === undefined ? '?' : typeof dim === 'number' ? String(dim) : quoteId(dim)
}
