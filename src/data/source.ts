import type { Feeds } from '../runtime/index.ts'
import type { ImageOptions } from './image-recipe.ts'

/** What the data is read from; `synthetic` is made up by the program and says nothing about real activations. */
export type DataKind =
  | 'npz'
  | 'npy'
  | 'test-data-sets'
  | 'jsonl'
  | 'text'
  | 'images'
  | 'parquet'
  | 'safetensors'
  | 'module'
  | 'synthetic'

/** One input of the model: one row of the leading axis, batch 1 (or the batch the model is fixed to). */
export interface Sample {
  /** Names the sample to a reader: file and row, line or picture. */
  readonly id: string
  /** Its place in the selection, shards put together: the same whatever the shard, with gaps where samples were skipped. */
  readonly index: number
  readonly feeds: Feeds
}

/** A sample that was left out. */
export interface SkippedSample {
  readonly id: string
  readonly index: number
  readonly reason: string
}

/** Part `index` (1 to `count`) of a selection. */
export interface Shard {
  readonly index: number
  readonly count: number
}

export interface DataFile {
  /** Relative to the folder that was given, with `/`; the bare name of a single file. */
  readonly name: string
  readonly bytes: number
  readonly sha256: string
}

/** Which data it was, as plain JSON for tables and reports. */
export interface DataManifest {
  readonly kind: DataKind
  /** The files the selection reads, all shards of it, tokenizers and recipes included. */
  readonly files: readonly DataFile[]
  /** How many samples the source has. */
  readonly count: number
  readonly selection: {
    /** How many samples the selection has, all shards together, before any is skipped. */
    readonly samples: number
    /** Of a subset; `null` when everything was taken. */
    readonly seed: number | null
    readonly shard: Shard | null
  }
  /** What turns files into inputs: text length, image recipe. Empty for tensors. */
  readonly preparation: Readonly<Record<string, unknown>>
  readonly synthetic: boolean
  /** sha256 over all of the above except the shard: equal for the parts of one selection. */
  readonly hash: string
}

/** Samples that fit a model, in an order that does not change. */
export interface DataSource {
  readonly manifest: DataManifest
  /** The paths of the files of the manifest. */
  readonly files: readonly string[]
  /** What was made, padded or left out for the user, one sentence each. */
  readonly notes: readonly string[]
  /** How many samples `samples()` gives when none is skipped. */
  readonly size: number
  /** What was skipped so far. */
  readonly skipped: readonly SkippedSample[]
  /** May be called more than once. Throws `data-bad-sample` at the first sample that cannot be used, unless they are skipped. */
  samples(): AsyncIterable<Sample>
}

export interface DataOptions {
  /** A subset of that many samples; everything when absent (16 of synthetic data). */
  readonly samples?: number | undefined
  /** Of the subset and of synthetic data. Default 0. */
  readonly seed?: number | undefined
  readonly shard?: Shard | undefined
  /** Default `stop`. */
  readonly onBadSample?: 'skip' | 'stop' | undefined
  /** The `tokenizer.json` for text; default: one that lies beside the text. */
  readonly tokenizer?: string | undefined
  /** Most tokens of a text; default: what model and tokenizer say. */
  readonly maxLength?: number | undefined
  /** The field of JSONL or the column of Parquet with the text. Default `text`. */
  readonly textField?: string | undefined
  readonly image?: ImageOptions | undefined
  /** Makes inputs up; only where no source is given. */
  readonly synthetic?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}
