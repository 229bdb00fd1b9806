import { ConvertError, elided } from '../../errors.ts'
import { byteSize, DerivedPayload, dtypeName, dtypes, OwnedPayload, Tensor } from '../../ir/index.ts'
import { decodeText, encodeText } from '../../wire/text.ts'
import type { Cursor, Literal } from './cursor.ts'
import { elementText } from './elements.ts'
import type { ExternalTensors } from './external.ts'
import { printLocation } from './external.ts'
import { quote } from './words.ts'

/** What a tensor is before its data is known. */
export type TensorHead = Pick<Tensor, 'dtype' | 'dims' | 'name'>

/** Where the data of a tensor comes from when it does not stand in the text. */
export interface DataSources {
  readonly fill: ((head: TensorHead) => Tensor) | undefined
  readonly external: ExternalTensors
}

/** `{1, 2, 3}`; `["location": "file"]` for external data; `...` for data the text leaves out, which `fill` supplies. */
export function parseData(cursor: Cursor, head: TensorHead, sources: DataSources): Tensor {
  if (cursor.takes('...')) return sources.fill?.(head).named(head.name) ?? elidedTensor(head)
  if (cursor.sees('[')) return sources.external.parse(cursor, head)
  const words = cursor.list('{', '}', () => {
    const word = cursor.optionalLiteral()
    if (word === undefined) throw cursor.error('an element is expected')
    return word
  })
  const size = head.dims.reduce((product, dim) => product * dim, 1)
  const text = elementText(head.dtype)
  const expected = size * (text?.words ?? 1)
  if (words.length !== expected) throw cursor.error(`${expected} elements are expected, ${words.length} are given`)
  if (head.dtype === dtypes.string) return stringTensor(cursor, head, words)
  if (text === undefined) throw cursor.error(`a tensor of type ${dtypeName(head.dtype)} has no elements in text`)
  const bytes = new Uint8Array(byteSize(head.dtype, size) ?? 0)
  const view = new DataView(bytes.buffer)
  for (const [i, word] of words.entries()) {
    const fault = text.write(view, i, word)
    if (fault !== undefined) throw cursor.error(fault)
  }
  return new Tensor({ ...head, payload: new OwnedPayload(bytes) })
}

/** Type and dims are known, the elements are not: reading them throws a typed error. */
function elidedTensor(head: TensorHead): Tensor {
  const size = byteSize(
    head.dtype,
    head.dims.reduce((product, dim) => product * dim, 1),
  )
  const refuse = () => {
    throw elided(head.name)
  }
  return size === undefined
    ? new Tensor({ ...head, strings: refuse })
    : new Tensor({ ...head, payload: new DerivedPayload(size, refuse) })
}

function stringTensor(cursor: Cursor, head: TensorHead, words: readonly Literal[]): Tensor {
  const strings = words.map((word) => {
    if (word.kind !== 'string') throw cursor.error(`a string is expected, ${word.text} is given`)
    return encodeText(word.text)
  })
  return new Tensor({ ...head, strings: () => strings })
}

/**
 * The elements as `{1,2}`, the place of external data, or `...` when there are more than `limit`, when they have no text
 * form or were left out before.
 */
export function printData(tensor: Tensor, limit: number): string {
  const location = printLocation(tensor.payload)
  if (location !== undefined) return location
  if (tensor.size > limit) return '...'
  try {
    if (tensor.strings !== undefined) return braces(tensor.strings().map((bytes) => quote(decodeText(bytes))))
    return printElements(tensor) ?? '...'
  } catch (error) {
    if (error instanceof ConvertError && error.code === 'elided') return '...'
    throw error
  }
}

function printElements({ dtype, payload, expectedBytes, size }: Tensor): string | undefined {
  const text = elementText(dtype)
  if (payload === undefined || text === undefined || payload.byteLength !== expectedBytes) return undefined
  const raw = payload.read(0, payload.byteLength)
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
  return braces(Array.from({ length: size * text.words }, (_, i) => text.read(view, i)))
}

function braces(words: readonly string[]): string {
  return `{${words.join(',')}}`
}
