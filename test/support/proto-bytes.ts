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

export interface RawField {
  readonly number: number
  /** The whole field, tag included. */
  readonly bytes: Buffer
  /** The content of a field with a length. */
  readonly body: Buffer
}

/** The fields of a well-formed message, in order. Groups are not expected. */
export function split(message: Buffer): RawField[] {
  const fields: RawField[] = []
  for (let at = 0; at < message.length; ) {
    const start = at
    const next = (): bigint => {
      let value = 0n
      for (let shift = 0n; ; shift += 7n) {
        const byte = message[at++] as number
        value |= BigInt(byte & 0x7f) << shift
        if (byte < 0x80) return value
      }
    }
    const head = Number(next())
    const wire = head & 7
    let body = at
    if (wire === 0) next()
    else if (wire === 1) at += 8
    else if (wire === 5) at += 4
    else if (wire === 2) {
      const length = Number(next())
      body = at
      at += length
    } else throw new Error(`wire type ${wire}`)
    fields.push({ number: head >>> 3, bytes: message.subarray(start, at), body: message.subarray(body, at) })
  }
  return fields
}

/** The content of the only field of a number. */
export function only(message: Buffer, number: number): Buffer {
  const found = split(message).filter((field) => field.number === number)
  if (found.length !== 1) throw new Error(`${found.length} fields ${number}`)
  return (found[0] as RawField).body
}
