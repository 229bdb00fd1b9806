import type { Dim, DType, ValueType } from '../../ir/index.ts'
import { dtypeName, dtypes } from '../../ir/index.ts'
import type { Cursor } from './cursor.ts'
import type { TypeTree } from './type-tree.ts'
import { treeOf, typeOf } from './type-tree.ts'
import { quoteId } from './words.ts'

const keywords = new Set(['seq', 'map', 'optional', 'sparse_tensor', 'opaque'])

/** Whether a type comes next. */
export function seesType(cursor: Cursor): boolean {
  const word = cursor.peekIdentifier()
  return word !== undefined && (Object.hasOwn(dtypes, word) || keywords.has(word))
}

export function parseType(cursor: Cursor): ValueType {
  return typeOf(parseTree(cursor))
}

function parseTree(cursor: Cursor): TypeTree {
  const word = cursor.peekIdentifier() ?? ''
  if (!keywords.has(word)) return { kind: 'tensor', ...parseTensorType(cursor) }
  cursor.identifier('a type')
  cursor.expect('(')
  const tree = parseMembers(cursor, word)
  cursor.expect(')')
  return tree
}

function parseMembers(cursor: Cursor, word: string): TypeTree {
  switch (word) {
    case 'seq':
    case 'optional':
      return { kind: word, element: parseTree(cursor) }
    case 'sparse_tensor':
      return { kind: word, ...parseTensorType(cursor) }
    case 'map': {
      const key = parseElementType(cursor)
      cursor.expect(',')
      return { kind: word, key, value: parseTree(cursor) }
    }
    default: {
      const first = cursor.sees(')') ? '' : parseDotted(cursor)
      const second = cursor.takes(',') ? parseDotted(cursor) : undefined
      return { kind: 'opaque', domain: second === undefined ? '' : first, name: second ?? first }
    }
  }
}

function parseDotted(cursor: Cursor): string {
  let name = cursor.identifier('a name')
  while (cursor.takes('.')) name += `.${cursor.identifier('a name')}`
  return name
}

/** `float` is a scalar, `float[]` has no known rank, `float[2,N,?]` has rank 3. */
export function parseTensorType(cursor: Cursor): { dtype: DType; shape: readonly Dim[] | undefined } {
  const dtype = parseElementType(cursor)
  if (!cursor.sees('[')) return { dtype, shape: [] }
  const dims = cursor.list('[', ']', () => parseDim(cursor))
  return { dtype, shape: dims.length === 0 ? undefined : dims }
}

function parseElementType(cursor: Cursor): DType {
  const word = cursor.identifier('an element type')
  if (!Object.hasOwn(dtypes, word)) throw cursor.error(`"${word}" is not an element type`)
  return dtypes[word as keyof typeof dtypes]
}

function parseDim(cursor: Cursor): Dim {
  if (cursor.takes('?')) return undefined
  return cursor.optionalIdentifier() ?? Number(cursor.integer('a dimension'))
}

/** A declared type in the syntax. */
export function printType(type: ValueType): string {
  return printTree(treeOf(type))
}

function printTree(tree: TypeTree): string {
  switch (tree.kind) {
    case 'tensor':
      return printTensorType(tree.dtype, tree.shape)
    case 'sparse_tensor':
      return `sparse_tensor(${printTensorType(tree.dtype, tree.shape)})`
    case 'seq':
    case 'optional':
      return `${tree.kind}(${printTree(tree.element)})`
    case 'map':
      return `map(${dtypeName(tree.key) ?? 'undefined'}, ${printTree(tree.value)})`
    case 'opaque':
      return `opaque(${[tree.domain, tree.name].filter((word) => word !== '').join(',')})`
  }
}

export function printTensorType(dtype: DType, shape: readonly Dim[] | undefined): string {
  const name = dtypeName(dtype) ?? 'undefined'
  if (shape === undefined) return `${name}[]`
  return shape.length === 0 ? name : `${name}[${shape.map(printDim).join(',')}]`
}

function printDim(dim: Dim): string {
  return dim === undefined ? '?' : typeof dim === 'number' ? String(dim) : quoteId(dim)
}
