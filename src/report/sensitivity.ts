import type { ModelEntry } from './document.ts'
import { finite, schema } from './document.ts'

/** What quantizing one product alone does to the outputs. */
export interface SensitivityEntry {
  readonly node: string
  readonly op: string
  /** `Σ (a - b)² / Σ a²` over the outputs; what products add together is nearly the sum. */
  readonly noise: number
  /** The same in decibels below the outputs. */
  readonly sqnrDb: number
  /** One less the mean cosine. */
  readonly drop: number
}

/** What `--json` prints for `sensitivity`. */
export interface SensitivityDocument {
  readonly schema: typeof schema
  readonly command: 'sensitivity'
  readonly model: ModelEntry
  readonly recipe: string
  /** Samples that every product was judged on. */
  readonly samples: number
  /** The worst first; null for what is not finite. */
  readonly products: readonly {
    readonly node: string
    readonly op: string
    readonly noise: number | null
    readonly sqnrDb: number | null
    readonly drop: number | null
  }[]
  readonly notes: readonly string[]
}

export function describeSensitivity(
  facts: Omit<SensitivityDocument, 'schema' | 'command' | 'products'> & {
    readonly products: readonly SensitivityEntry[]
  },
): SensitivityDocument {
  const products = facts.products.map(({ node, op, noise, sqnrDb, drop }) => ({
    ...{ node, op },
    ...{ noise: finite(noise), sqnrDb: finite(sqnrDb), drop: finite(drop) },
  }))
  return { schema, command: 'sensitivity', ...facts, products }
}
