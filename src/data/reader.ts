import type { Tensor } from '../ir/index.ts'
import type { DataKind } from './source.ts'

/** A sample as a format has it, or why it cannot be read; not yet checked against the model. */
export type Row =
  | { readonly position: number; readonly id: string; readonly feeds: Readonly<Record<string, Tensor>> }
  | { readonly position: number; readonly id: string; readonly problem: string }

/** What a format gives: samples at positions 0 to `count` - 1. */
export interface Reader {
  readonly kind: DataKind
  readonly count: number
  readonly notes: readonly string[]
  readonly preparation: Readonly<Record<string, unknown>>
  /** Paths of the files that the samples at these ascending positions are made of. */
  files(positions: Iterable<number>): readonly string[]
  /** The samples at ascending positions, in that order. May be called again. */
  read(positions: Iterable<number>): AsyncIterable<Row>
}

/** A reason to leave out one sample and go on with the next. */
export class UnusableSample extends Error {
  override readonly name = 'UnusableSample'
}

/** Several files in a row, read as one source. */
export function chain(parts: readonly Reader[], kind: DataKind): Reader {
  const starts = [0]
  for (const part of parts) starts.push((starts.at(-1) as number) + part.count)
  const count = starts.pop() as number
  return {
    kind,
    count,
    notes: [...new Set(parts.flatMap((part) => part.notes))],
    preparation: Object.assign({}, ...parts.map((part) => part.preparation)),
    files(positions) {
      return [...new Set(Array.from(groups(positions, starts), ([part, own]) => parts[part]?.files(own) ?? []).flat())]
    },
    async *read(positions) {
      for (const [part, own] of groups(positions, starts)) {
        const start = starts[part] as number
        for await (const row of (parts[part] as Reader).read(own)) yield { ...row, position: row.position + start }
      }
    },
  }
}

/** Ascending positions by the part they are in, counted from its start. */
function* groups(positions: Iterable<number>, starts: readonly number[]): Generator<[part: number, own: number[]]> {
  let part = 0
  let own: number[] = []
  for (const position of positions) {
    while (position >= (starts[part + 1] ?? Number.POSITIVE_INFINITY)) {
      if (own.length > 0) yield [part, own]
      own = []
      part++
    }
    own.push(position - (starts[part] as number))
  }
  if (own.length > 0) yield [part, own]
}
