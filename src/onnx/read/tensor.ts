import { dtypes, Tensor } from '../../ir/index.ts'
import type { Field, Scan } from '../../wire/index.ts'
import { copyOf, wireType } from '../../wire/index.ts'
import { ExternalPayload } from '../data/external.ts'
import { RangePayload } from '../data/range.ts'
import { TypedPayload, typedField } from '../data/typed.ts'
import type { Document } from '../document.ts'
import { schema } from '../schema.ts'
import { checkMessage } from './check.ts'
import { integersAt } from './numbers.ts'
import { int32At, isBytes, isInt, textAt } from './scalars.ts'

const T = schema.Tensor

/** What a scan over the fields of a tensor finds; data stays where it is. */
interface Found {
  name: string
  dtype: number
  dims: number[]
  raw: { start: number; end: number } | undefined
  /** The first field with typed data, how many there are, and whether they are of several numbers. */
  typed: { number: number; isPacked: boolean; start: number; end: number } | undefined
  typedFields: number
  isMixed: boolean
  external: [string, string][]
  isExternal: boolean
}

/** Reads the head of a tensor message. Its data is read when somebody asks for it. */
export function readTensor(document: Document, field: Field): Tensor {
  document.budget.take(16, field.source, field.start)
  const scan = field.fields.scan(field.index)
  const found: Found = {
    name: '',
    dtype: 0,
    dims: [],
    raw: undefined,
    typed: undefined,
    typedFields: 0,
    isMixed: false,
    external: [],
    isExternal: false,
  }
  while (scan.next()) readTensorField(scan, found)
  return tensorOf(document, field, found)
}

function readTensorField(scan: Scan, found: Found): void {
  if (scan.number === T.dims) {
    integersAt(scan, (low, high) => {
      if (high >= 2 ** 21) throw scan.fault(`a dimension of a tensor is negative or too large at byte ${scan.start}`)
      found.dims.push(high * 2 ** 32 + low)
    })
  } else if (isInt(scan, T.dataType)) found.dtype = int32At(scan)
  else if (isBytes(scan, T.name)) found.name = textAt(scan)
  else if (isBytes(scan, T.rawData)) found.raw = { start: scan.body, end: scan.end }
  else if (isTyped(scan)) {
    const { number, body, end } = scan
    found.typed ??= { number, isPacked: scan.wire === wireType.bytes, start: body, end }
    found.typedFields++
    found.isMixed ||= number !== found.typed.number
  } else if (isInt(scan, T.dataLocation)) found.isExternal = int32At(scan) === 1
  else if (isBytes(scan, T.externalData)) found.external.push(entryAt(scan))
  else if (isBytes(scan, T.segment)) checkMessage(scan, 'Plain')
  else if (isBytes(scan, T.metadata)) checkMessage(scan, 'Entry')
}

const singles = new Map<number, number>([
  [T.floatData, wireType.fixed32],
  [T.doubleData, wireType.fixed64],
  [T.int32Data, wireType.varint],
  [T.int64Data, wireType.varint],
  [T.uint64Data, wireType.varint],
])

function isTyped(scan: Scan): boolean {
  const single = singles.get(scan.number)
  return single !== undefined && (scan.wire === wireType.bytes || scan.wire === single)
}

function tensorOf(document: Document, field: Field, found: Found): Tensor {
  const { name, dtype, raw, typed } = found
  const head = { name, dtype, dims: found.dims.slice(), origin: field }
  const isString = dtype === dtypes.string
  const hasUnread =
    typed && (raw || found.isExternal || isString || found.isMixed || typed.number !== typedField(dtype))
  if (hasUnread) checkMessage(field.at(), 'Tensor')
  if (found.isExternal) {
    for (const [key, value] of found.external) if (key === 'location') document.addLocation(value)
    return new Tensor({ ...head, payload: new ExternalPayload(document, field, found.external, head) })
  }
  if (isString) return new Tensor({ ...head, strings: () => readStrings(field) })
  const run = raw ?? (isRawLayout(found) ? typed : undefined)
  if (run) return new Tensor({ ...head, payload: new RangePayload(field.source, run.start, run.end, head) })
  return new Tensor({ ...head, payload: new TypedPayload(field, head) })
}

/** One packed run of float_data or double_data is the raw layout. */
function isRawLayout({ dtype, typed, typedFields }: Found): boolean {
  if (!typed?.isPacked || typedFields !== 1 || typed.number !== typedField(dtype)) return false
  return typed.number === T.floatData || typed.number === T.doubleData
}

function readStrings(field: Field): Uint8Array[] {
  const scan = field.fields.scan(field.index)
  const strings: Uint8Array[] = []
  while (scan.next()) if (isBytes(scan, T.stringData)) strings.push(copyOf(scan.source, scan.body, scan.end))
  return strings
}

/** The key and value that a field holds. */
export function entryAt(field: Scan): [key: string, value: string] {
  const scan = field.inner()
  let key = ''
  let value = ''
  while (scan.next()) {
    if (isBytes(scan, schema.Entry.key)) key = textAt(scan)
    else if (isBytes(scan, schema.Entry.value)) value = textAt(scan)
  }
  return [key, value]
}
