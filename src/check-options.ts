import { optionUnknown, optionWrong, usage } from './errors.ts'

/** What the value of an option can be: in words, and as a test. */
export interface OptionKind {
  readonly what: string
  accepts(value: unknown): boolean
}

export const optionKinds = {
  text: { what: 'a text', accepts: (value) => typeof value === 'string' },
  flag: { what: 'true or false', accepts: (value) => typeof value === 'boolean' },
  number: { what: 'a number', accepts: (value) => typeof value === 'number' },
  settings: { what: 'an object', accepts: (value) => typeof value === 'object' && value !== null },
  positive: { what: 'a number above 0', accepts: (value) => typeof value === 'number' && value > 0 },
  work: { what: 'a function', accepts: (value) => typeof value === 'function' },
  signal: { what: 'an AbortSignal', accepts: (value) => value instanceof AbortSignal },
  texts: { what: 'a list of texts', accepts: isTexts },
  names: { what: 'a text or a list of texts', accepts: (value) => typeof value === 'string' || isTexts(value) },
} as const satisfies Record<string, OptionKind>

/** An option that is one of these words. */
export function oneOf(words: readonly string[]): OptionKind {
  const quoted = words.map((word) => `"${word}"`)
  return {
    what: `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`,
    accepts: (value) => typeof value === 'string' && words.includes(value),
  }
}

/** Refuses options that do not exist or cannot have their value; throws `usage`, which names the option. */
export function checkOptions<O extends object>(options: O, kinds: Readonly<Record<keyof O, OptionKind>>): void {
  if (typeof options !== 'object' || options === null) throw usage(`options are an object, not ${inWords(options)}`)
  const known = new Map<string, OptionKind>(Object.entries(kinds))
  for (const [name, value] of Object.entries(options)) {
    const kind = known.get(name)
    if (kind === undefined) throw optionUnknown(name, [...known.keys()])
    if (value !== undefined && !kind.accepts(value)) throw optionWrong(name, kind.what, inWords(value))
  }
}

/** Refuses what is no path, bytes or text where one is needed; `name` says what it is for. */
export function requireText(name: string, value: string): void {
  if (typeof value !== 'string') throw usage(`${name} is a text, not ${inWords(value)}`)
}

/** A value in an error: itself where it is short, what it is where not. */
export function inWords(value: unknown): string {
  if (typeof value === 'string') return value.length > 40 ? 'a text' : JSON.stringify(value)
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return 'a list'
  if (typeof value !== 'object' || value === null) return String(value)
  const { name } = value.constructor ?? {}
  return name === undefined || name === 'Object' ? 'an object' : `an object of class ${name}`
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
