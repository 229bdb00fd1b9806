/** Seeded numbers: the same sequence for the same seed, everywhere. */
export function seeded(seed: number): (limit: number) => number {
  let state = seed >>> 0
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    // The high bits are the random ones.
    return Math.floor((state / 2 ** 32) * limit)
  }
}

/** Values that find faults: ends of ranges, continuation bits, tags of lengths and groups. */
const interesting = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x0a, 0x3a, 0x0b, 0x0c, 0x0f]

/** The bytes with one to three faults: changed, inserted, removed, repeated or exchanged parts. */
export function mutated(bytes: Uint8Array, random: (limit: number) => number): Buffer {
  let result: Buffer = Buffer.from(bytes)
  for (let n = 1 + random(3); n > 0; n--) result = mutateOnce(result, random)
  return result
}

function mutateOnce(bytes: Buffer, random: (limit: number) => number): Buffer {
  const at = random(bytes.length)
  const length = 1 + random(16)
  const rest = bytes.subarray(at)
  switch (random(7)) {
    case 0:
      bytes[at] = (bytes[at] as number) ^ (1 << random(8))
      return bytes
    case 1:
      bytes[at] = random(256)
      return bytes
    case 2:
      bytes[at] = interesting[random(interesting.length)] as number
      return bytes
    case 3:
      return Buffer.concat([bytes.subarray(0, at), Buffer.from(Array.from({ length }, () => random(256))), rest])
    case 4:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
    case 5:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, at + length), rest])
    default:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(random(bytes.length)).subarray(0, length), rest])
  }
}
