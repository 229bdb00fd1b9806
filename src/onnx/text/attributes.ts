import type { Attribute, Graph } from '../../ir/index.ts'
import { dtypeName, type Tensor } from '../../ir/index.ts'
import { attributeTypes } from '../schema.ts'
import type { Cursor } from './cursor.ts'
import { floatOf, integerOf } from './cursor.ts'
import type { DataSources, TensorHead } from './tensor.ts'
import { parseData, printData } from './tensor.ts'
import { parseTensorType, printTensorType, seesType } from './types.ts'
import { printFloat, quote, quoteId } from './words.ts'

/** Numbers of `AttributeProto.AttributeType`, by the word the syntax has for them. Source: onnx.proto. */
const typeWords = {
  undefined: 0,
  ...attributeTypes,
  sparse_tensor: 11,
  sparse_tensors: 12,
  type_proto: 13,
  type_protos: 14,
}

type TypeWord = keyof typeof typeWords

export interface AttributeContext {
  readonly parseGraph: () => Graph
  readonly sources: DataSources
}

/** `name = value` or `name: type = value`. */
export function parseAttribute(cursor: Cursor, context: AttributeContext, name: string): Attribute {
  const word = cursor.takes(':') ? cursor.identifier('an attribute type') : undefined
  if (word !== undefined && !(word in typeWords)) throw cursor.error(`"${word}" is not an attribute type`)
  const declared = word as TypeWord | undefined
  cursor.expect('=')
  if (!cursor.sees('[')) return parseSingle(cursor, context, declared)
  const single = declared?.endsWith('s') ? (declared.slice(0, -1) as TypeWord) : undefined
  const items = cursor.list('[', ']', () => parseSingle(cursor, context, single))
  const kind = items[0]?.kind ?? single
  if (kind === undefined)
    throw cursor.error(`the type of the empty list "${name}" is expected, as in "${name}: ints = []"`)
  return listOf(cursor, kind, items)
}

function parseSingle(cursor: Cursor, context: AttributeContext, declared: TypeWord | undefined): Attribute {
  if (cursor.takes('@')) {
    return { kind: 'ref', name: cursor.identifier('an attribute name'), type: typeWords[declared ?? 'undefined'] }
  }
  if (seesType(cursor)) return { kind: 'tensor', value: parseTensor(cursor, context.sources) }
  const literal = declared === 'graph' ? undefined : cursor.optionalLiteral()
  if (literal === undefined) return { kind: 'graph', value: context.parseGraph() }
  if (literal.kind === 'string') return { kind: 'string', value: literal.text }
  if (literal.kind === 'float' || declared === 'float')
    return { kind: 'float', value: Math.fround(floatOf(literal.text)) }
  return { kind: 'int', value: integerOf(literal.text) }
}

function listOf(cursor: Cursor, kind: string, items: readonly Attribute[]): Attribute {
  const values = (expected: string): unknown[] =>
    items.map((item) => {
      if (item.kind !== expected) throw cursor.error('the elements of a list are of one type')
      return (item as { value: unknown }).value
    })
  switch (kind) {
    case 'int':
      return { kind: 'ints', value: values('int') as number[] }
    case 'float':
      return { kind: 'floats', value: values('float') as number[] }
    case 'string':
      return { kind: 'strings', value: values('string') as string[] }
    case 'tensor':
      return { kind: 'tensors', value: values('tensor') as Tensor[] }
    case 'graph':
      return { kind: 'graphs', value: values('graph') as Graph[] }
    default:
      throw cursor.error(`a list of ${kind} has no form in text`)
  }
}

/** `float[2] name = {1, 2}`; name and equals sign may be left out. */
function parseTensor(cursor: Cursor, sources: DataSources): Tensor {
  const type = parseTensorType(cursor)
  const name = cursor.optionalIdentifier() ?? ''
  cursor.takes('=')
  return parseData(cursor, tensorHead(cursor, type, name), sources)
}

/** The declared type as dims of a tensor: every dimension has to be a number. */
export function tensorHead(cursor: Cursor, type: ReturnType<typeof parseTensorType>, name: string): TensorHead {
  const dims = type.shape?.map((dim) => {
    if (typeof dim !== 'number') throw cursor.error('the dimensions of a tensor are numbers')
    return dim
  })
  if (dims === undefined) throw cursor.error('the shape of a tensor is expected')
  return { dtype: type.dtype, dims, name }
}

export interface AttributePrinting {
  readonly printGraph: (graph: Graph) => string
  readonly limit: number
}

export function printAttribute(name: string, attribute: Attribute, printing: AttributePrinting): string {
  if (attribute.kind === 'ref') {
    const word = Object.entries(typeWords).find(([, type]) => type === attribute.type)?.[0] ?? 'undefined'
    return `${quoteId(name)}: ${word} = @${quoteId(attribute.name)}`
  }
  if (attribute.kind === 'opaque') return `${quoteId(name)} = ...`
  return `${quoteId(name)}: ${attribute.kind} = ${printAttributeValue(attribute, printing)}`
}

/** The value alone, as `explain` and messages show it. */
export function printAttributeValue(
  attribute: Exclude<Attribute, { kind: 'ref' | 'opaque' }>,
  printing: AttributePrinting,
): string {
  const list = <T>(items: readonly T[], print: (item: T) => string) => `[${items.map(print).join(', ')}]`
  switch (attribute.kind) {
    case 'int':
      return String(attribute.value)
    case 'float':
      return printFloat(attribute.value)
    case 'string':
      return quote(attribute.value)
    case 'tensor':
      return printTensor(attribute.value, printing.limit)
    case 'graph':
      return printing.printGraph(attribute.value)
    case 'ints':
      return list(attribute.value, String)
    case 'floats':
      return list(attribute.value, (value) => printFloat(value))
    case 'strings':
      return list(attribute.value, quote)
    case 'tensors':
      return list(attribute.value, (tensor) => printTensor(tensor, printing.limit))
    case 'graphs':
      return list(attribute.value, printing.printGraph)
  }
}

function printTensor(tensor: Tensor, limit: number): string {
  const name = tensor.name === '' ? '' : ` ${quoteId(tensor.name)}`
  const type = dtypeName(tensor.dtype) === undefined ? 'undefined' : printTensorType(tensor.dtype, tensor.dims)
  return `${type}${name} ${printData(tensor, limit)}`
}
