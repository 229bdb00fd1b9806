import type { Comparison } from '../compare/index.ts'
import type { ProductReport } from '../quantize/index.ts'
import type { Warning } from '../rewrite/index.ts'
import type { FileEntry, ModelEntry, OperatorsEntry } from './document.ts'
import { finite, schema } from './document.ts'
import type { Environment } from './environment.ts'
import type { ObservedEntry } from './observed.ts'

/** One product with a constant weight: quantized, or in float for a reason. */
export type ProductEntry = Readonly<ProductReport>

/** How a recipe and the products in float were chosen. */
export interface ChoiceEntry {
  /** `asked`: by name; `default`; `written`: in a model; `searched`: measured now. */
  readonly by: 'asked' | 'default' | 'written' | 'searched'
  /** What recipes gave on part of the data of calibration; empty where none was tried. */
  readonly tried: readonly {
    readonly recipe: string
    readonly quantized: number
    readonly cosineMean: number | null
    readonly sqnrDb: number | null
  }[]
  /** Products kept in float for the sake of accuracy, the worst first. */
  readonly keepFloat: readonly string[]
}

/** A setting for sessions on the result: `extra.session` of onnxruntime-node, `add_session_config_entry` in Python. */
export interface SessionOptionEntry {
  readonly key: string
  readonly value: string
  readonly why: string
}

export interface QuantizationEntry {
  /** By name: what `--recipe` takes. */
  readonly recipe: string
  readonly choice: ChoiceEntry
  /** How many products with a constant weight are quantized, and how many stayed in float. */
  readonly quantized: number
  readonly float: number
  /** On samples that calibration has not seen; null where nothing was run. */
  readonly quality: {
    readonly samples: number
    readonly cosineMean: number
    readonly cosineWorst: number
    /** Null where nothing differs. */
    readonly sqnrDb: number | null
  } | null
  /** Bytes and time of the result over those of the input; null where it was not written or not run. */
  readonly sizeRatio: number | null
  readonly latencyRatio: number | null
  /** What sessions on the result can be given, where it matters. */
  readonly sessionOptions: readonly SessionOptionEntry[]
  readonly products: readonly ProductEntry[]
}

/** What `--json` prints for `quantize`. */
export interface QuantizationDocument {
  readonly schema: typeof schema
  readonly command: 'quantize'
  readonly model: ModelEntry
  readonly calibration: { readonly samples: number; readonly synthetic: boolean; readonly table: string | null }
  readonly quantization: QuantizationEntry
  readonly files: readonly FileEntry[]
  readonly passes: readonly { readonly pass: string; readonly stage: string; readonly changed: number }[]
  readonly notes: readonly string[]
  readonly warnings: readonly Warning[]
  /** What a page is drawn of; only where a report was asked for. */
  readonly observed?: ObservedEntry
  readonly operators?: OperatorsEntry
  readonly environment?: Environment
}

/** What is known of a quantization when its report is written. */
export interface QuantizationFacts extends Pick<QuantizationEntry, 'recipe' | 'choice' | 'sessionOptions'> {
  readonly products: readonly ProductReport[]
  readonly comparison: Comparison | undefined
  readonly sizeRatio: number | undefined
}

export function quantizationEntry(facts: QuantizationFacts): QuantizationEntry {
  const { recipe, choice, products, comparison, sizeRatio, sessionOptions } = facts
  const quantized = products.filter((product) => product.quantized).length
  const { all, latencyRatio } = comparison ?? {}
  return {
    ...{ recipe, choice, quantized, float: products.length - quantized },
    quality: all
      ? { samples: all.samples, cosineMean: all.cosine.mean, cosineWorst: all.cosine.worst, sqnrDb: finite(all.sqnrDb) }
      : null,
    sizeRatio: sizeRatio ?? null,
    latencyRatio: latencyRatio === undefined ? null : finite(latencyRatio),
    ...{ sessionOptions, products },
  }
}

export function describeQuantization(facts: Omit<QuantizationDocument, 'schema' | 'command'>): QuantizationDocument {
  return { schema, command: 'quantize', ...facts }
}
