import type { ConvertError } from '../../errors.ts'
import { textSyntax } from '../../errors.ts'

/** A word of the text: an identifier, a quoted string, or a number as it was written. */
export interface Literal {
  readonly kind: 'int' | 'float' | 'string'
  readonly text: string
}

const blank = /(?:\s|#[^\n]*)*/y
const identifier = /[A-Za-z_][A-Za-z0-9_]*/y
const quoted = /"((?:[^"\\]|\\[\s\S])*)"/y
const number = /-?(?:\d+(\.\d*)?([eE][+-]?\d+)?|(?:inf|infinity|nan)(?![A-Za-z0-9_]))/iy

/** Reads ONNX's textual syntax from front to back. White space and `#` comments separate words and mean nothing else. */
export class Cursor {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  get atEnd(): boolean {
    this.#skip()
    return this.#at >= this.#text.length
  }

  /** Whether `token` comes next; it is not consumed. */
  sees(token: string): boolean {
    this.#skip()
    return this.#text.startsWith(token, this.#at)
  }

  /** Consumes `token` when it comes next. */
  takes(token: string): boolean {
    if (!this.sees(token)) return false
    this.#at += token.length
    return true
  }

  expect(token: string): void {
    if (!this.takes(token)) throw this.error(`"${token}" is expected`)
  }

  /** The next identifier without consuming it; `undefined` when something else comes. */
  peekIdentifier(): string | undefined {
    this.#skip()
    identifier.lastIndex = this.#at
    return identifier.exec(this.#text)?.[0]
  }

  /** An identifier, bare or quoted; `undefined` when neither comes next. */
  optionalIdentifier(): string | undefined {
    const bare = this.peekIdentifier()
    if (bare === undefined) return this.#quoted()
    this.#at += bare.length
    return bare
  }

  identifier(what: string): string {
    const found = this.optionalIdentifier()
    if (found === undefined) throw this.error(`${what} is expected`)
    return found
  }

  string(what: string): string {
    const found = this.#quoted()
    if (found === undefined) throw this.error(`${what} in double quotes is expected`)
    return found
  }

  /** A number or a quoted string; `undefined` when neither comes next. */
  optionalLiteral(): Literal | undefined {
    const text = this.#quoted()
    if (text !== undefined) return { kind: 'string', text }
    number.lastIndex = this.#at
    const match = number.exec(this.#text)
    if (match === null) return undefined
    this.#at = number.lastIndex
    const whole = /^-?\d+$/.test(match[0])
    return { kind: whole ? 'int' : 'float', text: match[0] }
  }

  integer(what: string): number | bigint {
    const literal = this.optionalLiteral()
    if (literal?.kind !== 'int') throw this.error(`${what} is expected, a whole number`)
    return integerOf(literal.text)
  }

  /** `item` between `open` and `close`, separated by commas; a comma before `close` is allowed. */
  list<T>(open: string, close: string, item: () => T): T[] {
    this.expect(open)
    const items: T[] = []
    while (!this.takes(close)) {
      items.push(item())
      if (this.takes(',')) continue
      if (this.takes(close)) break
      throw this.error(`"," or "${close}" is expected`)
    }
    return items
  }

  error(message: string): ConvertError {
    const before = this.#text.slice(0, this.#at).split('\n')
    const line = before.length
    const context = this.#text.split('\n')[line - 1]?.trim() ?? ''
    return textSyntax(message, { line, column: (before.at(-1)?.length ?? 0) + 1, context, offset: this.#at })
  }

  #quoted(): string | undefined {
    this.#skip()
    if (this.#text[this.#at] !== '"') return undefined
    quoted.lastIndex = this.#at
    const match = quoted.exec(this.#text)
    if (match === null) throw this.error('the string has no closing quote')
    this.#at = quoted.lastIndex
    return match[1]?.replace(/\\([\s\S])/g, '$1') ?? ''
  }

  #skip(): void {
    blank.lastIndex = this.#at
    blank.exec(this.#text)
    this.#at = blank.lastIndex
  }
}

/** A whole number: a JavaScript number while exact, a bigint beyond. */
export function integerOf(text: string): number | bigint {
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : BigInt(text)
}

/** A float as the syntax writes it, `inf`, `-inf` and `nan` included. */
export function floatOf(text: string): number {
  const special = /^(-?)(inf|infinity|nan)$/i.exec(text)
  if (special === null) return Number(text)
  if (special[2]?.toLowerCase() === 'nan') return Number.NaN
  return special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
}
