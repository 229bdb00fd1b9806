/** Protobuf by hand, so that tests can write what no encoder would: any order, any packing, unknown and broken fields. */

export function varint(value: number | bigint): Buffer {
  const bytes: number[] = []
  let rest = BigInt.asUintN(64, BigInt(value))
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  return Buffer.from([...bytes, Number(rest)])
}

export function tag(number: number, wire: number): Buffer {
  return varint(number * 8 + wire)
}

export function int(number: number, value: number | bigint): Buffer {
  return Buffer.concat([tag(number, 0), varint(value)])
}

/** A field with a length: a message of parts, bytes, or text. */
export function len(number: number, ...parts: (Uint8Array | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
  return Buffer.concat([tag(number, 2), varint(body.length), body])
}

export function packed(number: number, values: readonly (number | bigint)[]): Buffer {
  return len(number, ...values.map(varint))
}

export function fixed32(number: number, bytes: readonly number[]): Buffer {
  return Buffer.concat([tag(number, 5), Buffer.from(bytes)])
}

export function fixed64(number: number, bytes: readonly number[]): Buffer {
  return Buffer.concat([tag(number, 1), Buffer.from(bytes)])
}

export function float(number: number, value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return fixed32(number, [...bytes])
}

export function floats(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [i, value] of values.entries()) bytes.writeFloatLE(value, i * 4)
  return bytes
}

/** A group, the form of message that protobuf gave up. */
export function group(number: number, ...parts: Uint8Array[]): Buffer {
  return Buffer.concat([tag(number, 3), ...parts, tag(number, 4)])
}

export function entry(number: number, key: string, value: string): Buffer {
  return len(number, len(1, key), len(2, value))
}
