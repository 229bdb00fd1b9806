import { UnusableSample } from './reader.ts'

/** A picture as bytes: rows of pixels, channels innermost. */
export interface Pixels {
  readonly width: number
  readonly height: number
  readonly channels: number
  readonly data: Uint8Array
}

/** Reads binary PGM and PPM of 8 bits, which sharp's binaries do not. Source: the format pages of Netpbm. */
export function readNetpbm(bytes: Uint8Array): Pixels {
  const text = Buffer.from(bytes.subarray(0, 512)).toString('latin1')
  const head = /^P([56])(?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)(?:\s+|#[^\n]*\n)+(\d+)\s/.exec(text)
  if (head === null || head[4] !== '255') throw new UnusableSample('it is not a PGM or PPM of 8 bits')
  const channels = head[1] === '5' ? 1 : 3
  const [width, height] = [Number(head[2]), Number(head[3])]
  const data = bytes.subarray(head[0].length, head[0].length + width * height * channels)
  if (data.length < width * height * channels) throw new UnusableSample('the picture is cut off')
  return { width, height, channels, data }
}
