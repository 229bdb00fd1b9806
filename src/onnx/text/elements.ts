import { numberToBfloat16, numberToHalf } from '../../ir/elements.ts'
import { bitsOf, dtypeName } from '../../ir/index.ts'
import type { Literal } from './cursor.ts'
import { floatOf, integerOf } from './cursor.ts'
import { printFloat } from './words.ts'

/** How the elements of one dtype stand in text: `read` prints word `i` of the raw layout, `write` stores a word there. */
export interface ElementText {
  /** Words per element: 2 for complex numbers (real, imaginary), else 1. */
  readonly words: number
  read(view: DataView, i: number): string
  /** Returns what is wrong with the word, `undefined` when it was stored. */
  write(view: DataView, i: number, word: Literal): string | undefined
}

/**
 * The text form of a dtype; `undefined` where there is none (strings, unknown types).
 *
 * As ONNX's own printer does, floats and doubles are decimals, and every float type below 32 bits is the integer of its
 * bit pattern. float16 and bfloat16 also accept a decimal with a point or an exponent, which means the number itself.
 */
export function elementText(dtype: number): ElementText | undefined {
  const name = dtypeName(dtype)
  switch (name) {
    case 'float':
    case 'complex64':
      return decimals(4, name === 'float' ? 1 : 2)
    case 'double':
    case 'complex128':
      return decimals(8, name === 'double' ? 1 : 2)
    case 'int8':
    case 'int16':
    case 'int32':
    case 'int64':
      return integers(bitsOf(dtype) ?? 8, true)
    case 'float16':
      return orDecimal(integers(16, false), numberToHalf)
    case 'bfloat16':
      return orDecimal(integers(16, false), numberToBfloat16)
    case 'int4':
    case 'int2':
      return packed(bitsOf(dtype) ?? 4, true)
    case 'uint4':
    case 'float4e2m1':
    case 'uint2':
      return packed(bitsOf(dtype) ?? 4, false)
    case undefined:
    case 'undefined':
    case 'string':
      return undefined
    default:
      return integers(bitsOf(dtype) ?? 8, false)
  }
}

function decimals(bytes: 4 | 8, words: number): ElementText {
  const double = bytes === 8
  return {
    words,
    read: (view, i) => printFloat(double ? view.getFloat64(i * 8, true) : view.getFloat32(i * 4, true), double),
    write(view, i, word) {
      if (word.kind === 'string') return 'a number is expected, a string is given'
      if (double) view.setFloat64(i * 8, floatOf(word.text), true)
      else view.setFloat32(i * 4, floatOf(word.text), true)
      return undefined
    },
  }
}

function integers(bits: number, signed: boolean): ElementText {
  const bytes = bits / 8
  return {
    words: 1,
    read(view, i) {
      let value = 0n
      for (let b = bytes - 1; b >= 0; b--) value = (value << 8n) | BigInt(view.getUint8(i * bytes + b))
      return String(signed ? BigInt.asIntN(bits, value) : value)
    },
    write(view, i, word) {
      const value = wholeNumber(word, bits, signed)
      if (typeof value === 'string') return value
      const pattern = BigInt.asUintN(bits, value)
      for (let b = 0; b < bytes; b++) view.setUint8(i * bytes + b, Number((pattern >> BigInt(8 * b)) & 0xffn))
      return undefined
    },
  }
}

function orDecimal(base: ElementText, toBits: (value: number) => number): ElementText {
  return {
    ...base,
    write: (view, i, word) =>
      base.write(view, i, word.kind === 'float' ? { kind: 'int', text: String(toBits(floatOf(word.text))) } : word),
  }
}

/** Several elements a byte, the first in the low bits; the text has one word an element. */
function packed(bits: number, signed: boolean): ElementText {
  const perByte = 8 / bits
  const shift = (i: number) => (i % perByte) * bits
  const mask = (1 << bits) - 1
  return {
    words: 1,
    read(view, i) {
      const value = (view.getUint8(Math.floor(i / perByte)) >> shift(i)) & mask
      return String(signed && value >> (bits - 1) ? value - (1 << bits) : value)
    },
    write(view, i, word) {
      const value = wholeNumber(word, bits, signed)
      if (typeof value === 'string') return value
      const at = Math.floor(i / perByte)
      view.setUint8(at, view.getUint8(at) | ((Number(value) & mask) << shift(i)))
      return undefined
    },
  }
}

function wholeNumber(word: Literal, bits: number, signed: boolean): bigint | string {
  if (word.kind !== 'int') return `a whole number is expected, ${word.text} is given`
  const value = BigInt(integerOf(word.text))
  const low = signed ? -(1n << BigInt(bits - 1)) : 0n
  const high = signed ? (1n << BigInt(bits - 1)) - 1n : (1n << BigInt(bits)) - 1n
  return value < low || value > high ? `${word.text} is outside ${low} to ${high}` : value
}
