import { malformed } from '../../errors.ts'
import type { Scan, Source } from '../../wire/index.ts'
import { place, wireType } from '../../wire/index.ts'

/**
 * The integers of a repeated field at the place of `scan`: one, or a packed run of them.
 * `take` gets the low and high 32 bits.
 */
export function integersAt(scan: Scan, take: (low: number, high: number) => void): boolean {
  if (scan.wire === wireType.varint) take(scan.low, scan.high)
  else if (scan.wire === wireType.bytes) packedIntegers(scan.source, scan.body, scan.end, take)
  else return false
  return true
}

/** Packed varints from `start` to `end`. */
export function packedIntegers(
  source: Source,
  start: number,
  end: number,
  take: (low: number, high: number) => void,
): void {
  for (let position = start; position < end; ) {
    const room = Math.min(end - position, source.reach, blockSize)
    const at = source.seek(position, room)
    const stop = at + room
    // The last block may be read to its end; others only while a whole number is sure to be inside.
    const safe = position + room === end ? stop : stop - 9
    let i = at
    while (i < safe) i = oneVarint(source, i, stop, position - at, take)
    position += i - at
  }
}

const blockSize = 1 << 14

function oneVarint(
  source: Source,
  start: number,
  stop: number,
  shift: number,
  take: (low: number, high: number) => void,
): number {
  const bytes = source.window
  let low = 0
  let high = 0
  for (let n = 0; n < 10 && start + n < stop; n++) {
    const byte = bytes[start + n] as number
    const bits = byte & 0x7f
    if (n < 4) low |= bits << (7 * n)
    else if (n === 4) {
      low |= bits << 28
      high = bits >> 4
    } else high |= bits << (7 * n - 32)
    if (byte >= 0x80) continue
    take(low >>> 0, high >>> 0)
    return start + n + 1
  }
  const offset = start + shift
  throw malformed(`a number is broken off or too long at byte ${offset}`, place(source, offset))
}

/** The signed 64-bit integer of two halves: a number while exact, bigint beyond. */
export function int64Of(low: number, high: number): number | bigint {
  const value = (high | 0) * 2 ** 32 + low
  return Number.isSafeInteger(value) ? value : (BigInt(high | 0) << 32n) | BigInt(low)
}

/** The floats of a repeated field at the place of `scan`: one, or a packed run of them. */
export function floatsAt(scan: Scan, take: (value: number) => void): boolean {
  const { source, body, end } = scan
  if (scan.wire !== wireType.fixed32 && scan.wire !== wireType.bytes) return false
  if ((end - body) % 4 !== 0) throw scan.fault(`packed floats at byte ${body} are not a multiple of 4 bytes`, body)
  for (let position = body; position < end; ) {
    const room = Math.min(end - position, source.reach & ~3, blockSize)
    const at = source.seek(position, room)
    for (let i = 0; i < room; i += 4) take(source.window.readFloatLE(at + i))
    position += room
  }
  return true
}
