import { isAscii, isUtf8 } from 'node:buffer'

/** UTF-8 to text; bytes that are not UTF-8 become lone surrogates U+DC80 to U+DCFF, so that nothing is lost. */
export function decodeText(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // latin1 makes a one-byte string without looking at every character again.
  if (isAscii(bytes)) return buffer.toString('latin1')
  return isUtf8(bytes) ? buffer.toString('utf8') : decodeBroken(buffer)
}

/** The text of a part of a buffer, as {@link decodeText} gives it, made for many short names. */
export function decodePart(buffer: Buffer, start: number, end: number): string {
  for (let i = start; i < end; i++) {
    if ((buffer[i] as number) >= 0x80) return decodeText(buffer.subarray(start, end))
  }
  return buffer.toString('latin1', start, end)
}

/** Text to UTF-8; the lone surrogates {@link decodeText} makes become the bytes they stand for. */
export function encodeText(text: string): Uint8Array {
  return loneSurrogate.test(text) ? encodeBroken(text) : Buffer.from(text)
}

const loneSurrogate = /\p{Surrogate}/u

function decodeBroken(buffer: Buffer): string {
  const parts: string[] = []
  let start = 0
  for (let at = 0; at < buffer.length; ) {
    const length = sequenceLength(buffer, at)
    if (length > 0) {
      at += length
      continue
    }
    parts.push(buffer.toString('utf8', start, at), String.fromCharCode(0xdc00 + (buffer[at] as number)))
    start = ++at
  }
  parts.push(buffer.toString('utf8', start))
  return parts.join('')
}

/** Bytes of the well-formed UTF-8 sequence at `at`, 0 when there is none. */
function sequenceLength(buffer: Buffer, at: number): number {
  const lead = buffer[at] as number
  const length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0
  return length > 0 && at + length <= buffer.length && isUtf8(buffer.subarray(at, at + length)) ? length : 0
}

function encodeBroken(text: string): Uint8Array {
  const parts: Buffer[] = []
  let start = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code >= 0xd800 && code < 0xdc00 && isLow(text.charCodeAt(at + 1))) at++
    else if (code >= 0xdc80 && code <= 0xdcff) {
      parts.push(Buffer.from(text.slice(start, at)), Buffer.of(code - 0xdc00))
      start = at + 1
    }
  }
  parts.push(Buffer.from(text.slice(start)))
  return Buffer.concat(parts)
}

function isLow(code: number): boolean {
  return code >= 0xdc00 && code <= 0xdfff
}
