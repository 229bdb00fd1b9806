import type { Feeds } from '../runtime/index.ts'
import type { Reader, Row } from './reader.ts'
import { UnusableSample } from './reader.ts'
import type { DataKind } from './source.ts'

/** Named values, as a line of JSON, a row of a table or what a module yields. */
export type NamedValues = Readonly<Record<string, unknown>>

/** A file of records: what JSONL, text, Parquet and modules have in common before they become tensors. */
export interface Records {
  readonly kind: DataKind
  readonly path: string
  readonly count: number
  /** The names and values of the first record that can be read. */
  readonly first: NamedValues | undefined
  /** The records at ascending positions; one that cannot be read as an {@link UnusableSample}. */
  read(
    positions: Iterable<number>,
  ): AsyncIterable<{ position: number; id: string; record: NamedValues | UnusableSample }>
}

/** How a record becomes feeds. Throws {@link UnusableSample} for one that cannot. */
export interface Preparation {
  readonly kind?: DataKind
  readonly notes: readonly string[]
  readonly settings: Readonly<Record<string, unknown>>
  /** Further files the feeds depend on. */
  readonly files: readonly string[]
  prepare(record: NamedValues): Feeds | Promise<Feeds>
}

/** Records through their preparation. */
export function recordReader(records: Records, preparation: Preparation): Reader {
  return {
    kind: preparation.kind ?? records.kind,
    count: records.count,
    notes: preparation.notes,
    preparation: preparation.settings,
    files: () => [records.path, ...preparation.files],
    async *read(positions): AsyncGenerator<Row> {
      for await (const { position, id, record } of records.read(positions)) {
        if (record instanceof UnusableSample) yield { position, id, problem: record.message }
        else yield { position, id, ...(await attempt(preparation, record)) }
      }
    },
  }
}

async function attempt({ prepare }: Preparation, record: NamedValues): Promise<{ feeds: Feeds } | { problem: string }> {
  try {
    return { feeds: await prepare(record) }
  } catch (error) {
    if (error instanceof UnusableSample) return { problem: error.message }
    throw error
  }
}
