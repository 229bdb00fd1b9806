import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { dataMissing, dataTokenizerDamaged } from '../errors.ts'

/** Tokens of one text, special ones included; not padded. */
export interface Encoded {
  readonly ids: readonly number[]
  /** Which text of a pair a token is from, where the tokenizer says so. */
  readonly types: readonly number[]
}

export interface Tokenizer {
  readonly path: string
  /** One more than the largest id. */
  readonly size: number
  /** What the files say about the length of texts; `undefined` when nothing. */
  readonly maxLength: number | undefined
  /** The length the file pads every text to. */
  readonly paddedLength: number | undefined
  readonly pad: { readonly id: number; readonly isLeft: boolean }
  /** At most `maxLength` tokens of a text, or of a pair of texts, cut as the file says. */
  encode(text: string, pair: string | undefined, maxLength: number): Encoded
}

/** What is read of a `tokenizer.json` here; the rest is the library's. */
interface TokenizerFile {
  readonly model?: { readonly vocab?: Readonly<Record<string, number>> | readonly (readonly [string, number])[] }
  readonly added_tokens?: readonly { readonly id: number; readonly content: string }[]
  readonly truncation?: { readonly max_length?: number; readonly direction?: string; readonly strategy?: string } | null
  readonly padding?: {
    readonly strategy?: 'BatchLongest' | { readonly Fixed?: number }
    readonly direction?: string
    readonly pad_id?: number
  } | null
  readonly post_processor?: { readonly type?: string } | null
}

interface Processed {
  readonly tokens: string[]
  readonly token_type_ids?: number[]
  /** What a processor that adds nothing leaves apart. */
  readonly tokens_pair?: string[] | null
}

/** The part of the library that is used. Its own truncation and padding do not exist. */
interface Engine {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[]; tokens: string[] }
  readonly post_processor: ((tokens: string[], pair: string[] | null, special: boolean) => Processed) | null
  token_to_id(token: string): number | undefined
}

/** Loads a `tokenizer.json`, and what a `tokenizer_config.json` beside it says about lengths and padding. */
export async function openTokenizer(path: string): Promise<Tokenizer> {
  if (!existsSync(path)) throw dataMissing(path)
  const file = readJson(path) as TokenizerFile
  const beside = join(dirname(path), 'tokenizer_config.json')
  const config = existsSync(beside) ? readJson(beside) : {}
  const engine = await load(path, file)
  const { truncation, padding } = file
  const strategy = padding?.strategy
  return {
    path,
    size: sizeOf(file),
    maxLength: truncation?.max_length ?? saneLength(config.model_max_length),
    paddedLength: typeof strategy === 'object' ? strategy.Fixed : undefined,
    pad: {
      id: padding?.pad_id ?? padId(config.pad_token, engine) ?? 0,
      isLeft: (padding?.direction ?? config.padding_side) === 'Left' || config.padding_side === 'left',
    },
    encode(text, pair, maxLength) {
      const encoded = encode(engine, truncation ?? {}, text, pair, maxLength)
      // RoBERTa's tokenizer gives both texts of a pair type 0; the library does not.
      return file.post_processor?.type === 'RobertaProcessing'
        ? { ...encoded, types: encoded.types.map(() => 0) }
        : encoded
    },
  }
}

function readJson(path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch (error) {
    throw dataTokenizerDamaged(path, (error as Error).message)
  }
  throw dataTokenizerDamaged(path, 'it is not a JSON object')
}

async function load(path: string, file: TokenizerFile): Promise<Engine> {
  const { Tokenizer } = await import('@huggingface/tokenizers')
  try {
    // Options of the Python wrapper classes are not those of the tokenizer: what counts is in the file.
    return new Tokenizer(file, {}) as unknown as Engine
  } catch (error) {
    throw dataTokenizerDamaged(path, (error as Error).message)
  }
}

function sizeOf({ model, added_tokens: added = [] }: TokenizerFile): number {
  const vocab = model?.vocab ?? []
  let last = -1
  const ids: readonly number[] = Array.isArray(vocab)
    ? [vocab.length - 1]
    : Object.values(vocab as Record<string, number>)
  for (const id of ids) last = Math.max(last, id)
  for (const { id } of added) last = Math.max(last, id)
  return last + 1
}

/** Files without a limit have 1e30 there. */
function saneLength(length: unknown): number | undefined {
  return typeof length === 'number' && length > 0 && length < 2 ** 31 ? length : undefined
}

function padId(token: unknown, engine: Engine): number | undefined {
  const content = typeof token === 'object' && token !== null && 'content' in token ? token.content : token
  for (const name of [content, '[PAD]', '<pad>']) {
    const id = typeof name === 'string' ? engine.token_to_id(name) : undefined
    if (id !== undefined) return id
  }
  return undefined
}

function encode(
  engine: Engine,
  { direction, strategy }: NonNullable<TokenizerFile['truncation']>,
  text: string,
  pair: string | undefined,
  maxLength: number,
): Encoded {
  const first = engine.encode(text, { add_special_tokens: false })
  const second = pair === undefined ? undefined : engine.encode(pair, { add_special_tokens: false })
  const special = complete(engine, [], second && []).tokens.length
  const room = Math.max(0, maxLength - special)
  const [a, b] = shares(first.tokens.length, second?.tokens.length, room, strategy)
  const cut = <T>(list: T[], length: number) =>
    direction === 'Left' ? list.slice(list.length - length) : list.slice(0, length)
  const ids = new Map<string, number>()
  for (const { tokens, ids: own } of second === undefined ? [first] : [first, second])
    for (const [i, token] of tokens.entries()) ids.set(token, own[i] as number)
  const { tokens, token_type_ids: types } = complete(engine, cut(first.tokens, a), second && cut(second.tokens, b))
  return {
    ids: tokens.map((token) => ids.get(token) ?? engine.token_to_id(token) ?? 0),
    types: types ?? tokens.map(() => 0),
  }
}

/** The tokens of one or two texts with the special tokens around them. */
function complete(engine: Engine, tokens: string[], pair: string[] | undefined): Processed {
  const alone: Processed = { tokens, tokens_pair: pair ?? null }
  const { tokens_pair: rest, ...processed } = engine.post_processor?.(tokens, pair ?? null, true) ?? alone
  return rest ? { tokens: [...processed.tokens, ...rest] } : processed
}

/** How many tokens of each text are kept. Source: `truncate_encodings` of the tokenizers library. */
function shares(first: number, second: number | undefined, room: number, strategy = 'LongestFirst'): [number, number] {
  if (second === undefined) return [Math.min(first, room), 0]
  if (first + second <= room) return [first, second]
  if (strategy === 'OnlyFirst') return [Math.max(0, room - second), second]
  if (strategy === 'OnlySecond') return [first, Math.max(0, room - first)]
  const shorter = Math.min(first, second)
  const isEven = shorter > room || 2 * shorter > room
  const [short, long] = isEven ? [Math.floor(room / 2), Math.ceil(room / 2)] : [shorter, room - shorter]
  return first > second ? [long, short] : [short, long]
}
