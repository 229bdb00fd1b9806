/**
 * Every diagnostic the project can give: one factory per code, sorted by code; the only place that words a message.
 *
 * A factory returns a {@link ConvertError}. Throw it where reading cannot go on; collect it where more can be found.
 */

/** Where a diagnostic belongs: a file and byte offset, or a node, value or graph of the model. */
export interface Place {
  readonly path?: string
  readonly offset?: number
  readonly node?: string
  readonly value?: string
  readonly graph?: string
}

/** The documented process exit codes. */
export const exitCodes = {
  done: 0,
  checkFailed: 1,
  usage: 2,
  model: 3,
  data: 4,
  runtime: 5,
  output: 6,
  bug: 70,
  interrupted: 130,
} as const

export type ExitKind = keyof typeof exitCodes

/** An error with a stable `code`, the place it belongs to and what the reader can do about it. */
export class ConvertError extends Error {
  override readonly name = 'ConvertError'
  readonly code: string
  readonly kind: ExitKind
  readonly at: Place
  readonly hint: string | undefined

  constructor(code: string, kind: ExitKind, message: string, at: Place = {}, hint?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.kind = kind
    this.at = at
    this.hint = hint
  }

  get exitCode(): number {
    return exitCodes[this.kind]
  }
}

/** A broken invariant of our own: never the user's fault. */
export function bug(message: string, at: Place = {}): ConvertError {
  return new ConvertError(
    'bug',
    'bug',
    message,
    at,
    'This is a fault of outeffhop-convert; please report it with the model or its text form.',
  )
}

/** A tensor was read whose data the text form of the model left out. */
export function elided(name: string): ConvertError {
  return new ConvertError(
    'elided',
    'model',
    `the data of tensor "${name}" is not in the text, which has "..." in its place`,
    { value: name },
    'Text leaves large weights out: use the original file, or give their elements with the `fill` option of parseModel.',
  )
}

/** The bytes are not a well-formed protobuf message of the expected kind. */
export function malformed(message: string, at: Place): ConvertError {
  return new ConvertError(
    'malformed',
    'model',
    message,
    at,
    'The file is damaged or not an ONNX model: fetch or export it again.',
  )
}

/** Text that is not ONNX's textual syntax. */
export function textSyntax(
  message: string,
  at: Place & { readonly line: number; readonly column: number; readonly context: string },
): ConvertError {
  const { line, column, context, ...place } = at
  return new ConvertError(
    'text-syntax',
    'model',
    `line ${line}, column ${column}: ${message}, in "${context}"`,
    place,
    'The syntax is described in https://github.com/onnx/onnx/blob/main/docs/Syntax.md.',
  )
}
