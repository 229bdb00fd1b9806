import { wireType } from './scan.ts'
import type { Source } from './source.ts'
import { encodeText } from './text.ts'

/** Content that is made while it is written, part by part. */
export interface Stream {
  readonly byteLength: number
  read(offset: number, length: number): Uint8Array
}

/**
 * A part of an output, planned and not yet made: bytes, a range of a source that is copied, or a stream.
 * A message is its head and the pieces of its body, so sizes are known bottom-up before a byte is written.
 */
export type Piece =
  | { readonly kind: 'bytes'; readonly size: number; readonly bytes: Uint8Array }
  | { readonly kind: 'range'; readonly size: number; readonly source: Source; readonly start: number }
  | { readonly kind: 'stream'; readonly size: number; readonly stream: Stream }
  | { readonly kind: 'group'; readonly size: number; readonly pieces: readonly Piece[] }

export function bytesPiece(bytes: Uint8Array): Piece {
  return { kind: 'bytes', size: bytes.length, bytes }
}

export function rangePiece(source: Source, start: number, end: number): Piece {
  return { kind: 'range', size: end - start, source, start }
}

export function streamPiece(stream: Stream): Piece {
  return { kind: 'stream', size: stream.byteLength, stream }
}

export function groupPiece(pieces: readonly Piece[]): Piece {
  return pieces.length === 1 ? (pieces[0] as Piece) : { kind: 'group', size: totalSize(pieces), pieces }
}

export function totalSize(pieces: readonly Piece[]): number {
  let size = 0
  for (const piece of pieces) size += piece.size
  return size
}

/** A field that holds a message or bytes: tag, length, content. One piece of bytes when its content is bytes. */
export function delimited(number: number, pieces: readonly Piece[]): Piece {
  const start = Buffer.concat([head(number, wireType.bytes), varint(totalSize(pieces))])
  const parts: Uint8Array[] = [start]
  for (const piece of pieces) {
    if (piece.kind !== 'bytes') return groupPiece([bytesPiece(start), ...pieces])
    parts.push(piece.bytes)
  }
  return bytesPiece(Buffer.concat(parts))
}

export function stringField(number: number, text: string): Piece {
  return delimited(number, [bytesPiece(encodeText(text))])
}

export function bytesField(number: number, bytes: Uint8Array): Piece {
  return delimited(number, [bytesPiece(bytes)])
}

export function intField(number: number, value: number | bigint): Piece {
  return bytesPiece(Buffer.concat([head(number, wireType.varint), varint(value)]))
}

export function floatField(number: number, value: number): Piece {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeFloatLE(value)
  return bytesPiece(Buffer.concat([head(number, wireType.fixed32), bytes]))
}

function head(number: number, wire: number): Uint8Array {
  return varint(number * 8 + wire)
}

/** The shortest varint of an integer; a negative one takes ten bytes (two's complement of 64 bits). */
function varint(value: number | bigint): Uint8Array {
  if (typeof value === 'bigint' || value < 0 || !Number.isSafeInteger(value)) return longVarint(BigInt(value))
  const bytes: number[] = []
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80)
    rest = Math.floor(rest / 0x80)
  }
  bytes.push(rest)
  return Uint8Array.from(bytes)
}

function longVarint(value: bigint): Uint8Array {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, value)
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return Uint8Array.from(bytes)
}
