import type { DataMismatch } from '../errors.ts'
import { dataTokenizerMismatch } from '../errors.ts'
import { Tensor } from '../ir/index.ts'
import { mismatchError } from './check.ts'
import type { ModelInput } from './inputs.ts'
import { describeType } from './inputs.ts'
import { UnusableSample } from './reader.ts'
import type { NamedValues, Preparation } from './records.ts'
import type { Encoded, Tokenizer } from './tokenizer.ts'
import { openTokenizer } from './tokenizer.ts'

export interface TextOptions {
  readonly tokenizer: string
  /** The field of a record; that of the second text of a pair ends in `_pair`. */
  readonly field: string
  readonly maxLength?: number | undefined
}

/** What is given along the tokens. */
type TokenRole = 'ids' | 'mask' | 'types' | 'positions'
/** And what says that nothing came before the text: caches without steps, and the switch of merged decoders. */
type Role = TokenRole | 'cache' | 'switch'

const fallbackLength = 512

/**
 * Records with a text as inputs: ids by the tokenizer, and the mask, token types and positions that the model wants beside
 * them. A text has its own length, unless the model is fixed to one: then it is padded to that.
 *
 * Throws `data-tokenizer-mismatch` when the vocabulary cannot be that of the model.
 */
export async function textAsInputs(
  label: string,
  inputs: readonly ModelInput[],
  { tokenizer: path, field, maxLength }: TextOptions,
): Promise<Preparation> {
  const roles = rolesOf(label, inputs)
  const tokenizer = await openTokenizer(path)
  const ids = inputs.find((input) => roles.get(input) === 'ids') as ModelInput
  checkVocabulary(tokenizer, ids)
  const fixed = fixedLength(ids)
  const length = Math.min(
    maxLength ?? tokenizer.maxLength ?? fixed ?? fallbackLength,
    fixed ?? Number.POSITIVE_INFINITY,
  )
  return {
    notes: notesOf(tokenizer, roles, { length, fixed, asked: maxLength }),
    settings: { field, maxLength: length, paddedTo: fixed ?? null },
    files: [path],
    prepare(record) {
      const encoded = tokenizer.encode(textIn(record, field) ?? missing(field), textIn(record, `${field}_pair`), length)
      if (encoded.ids.length === 0) throw new UnusableSample('the text has no tokens')
      const elements = padded(encoded, tokenizer, fixed)
      const feed = (input: ModelInput) => {
        const role = roles.get(input) as Role
        if (role === 'cache' || role === 'switch') return withoutPast(input)
        const values = elements[role]
        return Tensor.of(input.dtype, [1, values.length], values)
      }
      return Object.fromEntries(inputs.map((input) => [input.name, feed(input)]))
    },
  }
}

function textIn(record: NamedValues, field: string): string | undefined {
  const text = record[field]
  if (text === undefined || text === null) return undefined
  if (typeof text !== 'string') throw new UnusableSample(`its "${field}" is not a text`)
  return text
}

function missing(field: string): never {
  throw new UnusableSample(`it has no "${field}"`)
}

const patterns: readonly (readonly [Role, RegExp, rank: readonly number[]])[] = [
  ['switch', /use_cache/i, [0, 1]],
  ['cache', /past|cache/i, [3, 4]],
  ['mask', /mask/i, [2]],
  ['types', /token_?type|segment|type_?ids?$/i, [2]],
  ['positions', /position/i, [2]],
  ['ids', /ids?$|tokens?$|^input/i, [2]],
]

/** What each input is, by its name. Throws the table of those that no text gives. */
function rolesOf(label: string, inputs: readonly ModelInput[]): Map<ModelInput, Role> {
  const roles = new Map<ModelInput, Role>()
  for (const input of inputs) {
    const rank = input.shape?.length ?? 2
    const role = patterns.find(([, pattern, ranks]) => pattern.test(input.name) && ranks.includes(rank))?.[0]
    const isFree = role !== 'ids' || ![...roles.values()].includes('ids')
    if (role !== undefined && isFree) roles.set(input, role)
  }
  const [only] = inputs
  if (only !== undefined && inputs.length === 1 && roles.size === 0) roles.set(only, 'ids')
  const rows = inputs.filter((input) => !roles.has(input)).map(notFromText)
  if (rows.length > 0) throw mismatchError(label, rows)
  if (only !== undefined && ![...roles.values()].includes('ids')) throw mismatchError(label, [notFromText(only)])
  return roles
}

function notFromText({ name, dtype, shape }: ModelInput): DataMismatch {
  const advice = 'text gives ids, masks, token types, positions and empty caches only'
  return { input: name, sort: 'missing', wanted: describeType(dtype, shape), given: 'text', advice }
}

/** Models round the size of their table up, but none doubles it. */
function checkVocabulary({ path, size }: Tokenizer, { name, rows }: ModelInput): void {
  if (rows !== undefined && (size > rows || size * 2 < rows)) throw dataTokenizerMismatch(path, size, name, rows)
}

function fixedLength({ shape }: ModelInput): number | undefined {
  const length = shape?.[1]
  return typeof length === 'number' && length > 0 ? length : undefined
}

/** A cache of no steps, whose open axes are empty but for the batch; false for a switch. */
function withoutPast({ dtype, shape = [] }: ModelInput): Tensor {
  const dims = shape.map((dim, axis) => (typeof dim === 'number' ? dim : axis === 0 ? 1 : 0))
  return Tensor.of(dtype, dims, Array<number>(dims.reduce((size, dim) => size * dim, 1)).fill(0))
}

function padded({ ids, types }: Encoded, { pad }: Tokenizer, fixed: number | undefined): Record<TokenRole, number[]> {
  const missing = Math.max(0, (fixed ?? ids.length) - ids.length)
  const fill = (values: readonly number[], value: number) => {
    const padding = Array<number>(missing).fill(value)
    return pad.isLeft ? [...padding, ...values] : [...values, ...padding]
  }
  const positions = Array.from({ length: ids.length + missing }, (_, i) => (pad.isLeft ? Math.max(0, i - missing) : i))
  return { ids: fill(ids, pad.id), mask: fill(Array<number>(ids.length).fill(1), 0), types: fill(types, 0), positions }
}

const making: Readonly<Record<TokenRole, string>> = {
  ids: 'tokens',
  mask: '1 for tokens, 0 for padding',
  types: 'the text of a pair, 0 for the first',
  positions: 'counted from 0',
}

function notesOf(
  tokenizer: Tokenizer,
  roles: ReadonlyMap<ModelInput, Role>,
  { length, fixed, asked }: { length: number; fixed: number | undefined; asked: number | undefined },
): string[] {
  const made = Array.from(roles, ([{ name }, role]) =>
    role in making ? [`"${name}" (${making[role as TokenRole]})`] : [],
  )
  const notes = [`made from the text: ${made.flat().join(', ')}`]
  const caches = [...roles.values()].filter((role) => role === 'cache').length
  if (caches > 0) notes.push(`${caches} key and value caches are empty: every text is a beginning`)
  const why =
    asked !== undefined ? 'as asked for' : tokenizer.maxLength !== undefined ? 'as the tokenizer says' : undefined
  notes.push(
    `texts are cut to ${length} tokens, ${why ?? (fixed === undefined ? 'as nothing says otherwise' : 'as the model says')}`,
  )
  if (fixed !== undefined) notes.push(`texts are padded to ${fixed} tokens, the length the model is fixed to`)
  else if (tokenizer.paddedLength !== undefined)
    notes.push(
      `texts are not padded to ${tokenizer.paddedLength} tokens as the tokenizer does: the model takes any length`,
    )
  return notes
}
