import { createRequire } from 'node:module'
import type { Reader, Writer } from 'protobufjs'
import { malformed } from '../errors.ts'
import { decodeText, encodeText } from '../wire/index.ts'

/**
 * Whole messages as JavaScript objects, through protobufjs and the module generated from `onnx.proto`.
 *
 * CONTRIBUTOR NOTES
 * - For interop only. Models are read and written field by field: loading protobufjs takes 23 ms, a tenth of what copying
 *   a model of 400 MB takes; it re-encodes what it decodes, drops unknown fields unless told otherwise, and holds
 *   everything in memory. So it is loaded when somebody asks for it, which a static import would not allow.
 * - Regenerate with `npm run proto`. protobufjs is pinned: 8.2 to 8.6.1 keep unknown fields by default, others drop them.
 */
interface MessageType {
  encode(message: object, writer: Writer): Writer
  decode(reader: Reader): object
}

export type MessageName = 'ModelProto' | 'GraphProto' | 'NodeProto' | 'AttributeProto' | 'TensorProto' | 'TypeProto'

/** Decodes a message. Text that is not UTF-8 and unknown fields are kept; 64-bit integers are `Long` objects. */
export function decodeMessage(name: MessageName, bytes: Uint8Array): object {
  const { messages, LosslessReader } = library()
  const reader = new LosslessReader(bytes)
  reader.discardUnknown = false
  try {
    return messages[name].decode(reader)
  } catch (error) {
    throw malformed(`the bytes are not a ${name}: ${(error as Error).message}`, { offset: reader.pos })
  }
}

/** Encodes an object with the fields of a message. 64-bit integers may be numbers, `Long` objects or bigint. */
export function encodeMessage(name: MessageName, message: object): Uint8Array {
  const { messages, LosslessWriter } = library()
  return messages[name].encode(message, new LosslessWriter()).finish()
}

let loaded: ReturnType<typeof load> | undefined

function library() {
  loaded ??= load()
  return loaded
}

function load() {
  const require = createRequire(import.meta.url)
  const protobuf = require('protobufjs/minimal') as typeof import('protobufjs/minimal.js')
  const { onnx } = require('./onnx.gen.cjs') as { onnx: Record<MessageName, MessageType> }

  class LosslessReader extends protobuf.Reader {
    override string(): string {
      return decodeText(this.bytes())
    }
  }

  class LosslessWriter extends protobuf.Writer {
    override string(value: string): this {
      return this.bytes(encodeText(value)) as this
    }

    // protobufjs writes a bigint as 0 without a word.
    override int64(value: Integer): this {
      return super.int64(withoutBigint(value)) as this
    }

    override uint64(value: Integer): this {
      return super.uint64(withoutBigint(value)) as this
    }

    override int64s(values: Integer[]): this {
      return super.int64s(Array.from(values, withoutBigint)) as this
    }

    override uint64s(values: Integer[]): this {
      return super.uint64s(Array.from(values, withoutBigint)) as this
    }
  }

  return { messages: onnx, LosslessReader, LosslessWriter }
}

type ProtobufInteger = Parameters<Writer['int64']>[0]
type Integer = ProtobufInteger | bigint

/** A bigint as the pair of 32-bit halves that protobufjs takes. */
function withoutBigint(value: Integer): ProtobufInteger {
  if (typeof value !== 'bigint') return value
  if (BigInt.asIntN(64, value) !== value && BigInt.asUintN(64, value) !== value) {
    throw new RangeError(`${value} does not fit into 64 bits`)
  }
  const low = Number(BigInt.asIntN(32, value))
  const high = Number(BigInt.asIntN(32, value >> 32n))
  return { low, high, unsigned: value >= 2n ** 63n } as ProtobufInteger
}
