import type { DType } from '../ir/index.ts'

/** What decides whether a builder of engines makes one kernel of an attention step. `undefined` is what is not known. */
export interface FusionFacts {
  /** Two products with a normaliser between them, or one operator for all of it. */
  readonly spelling: 'products' | 'operator'
  /** The operator that normalises, or the one for all of it, as `Node.op` names it. */
  readonly op: string
  /** Element type of queries and keys where they are multiplied. */
  readonly dtype: DType | undefined
  readonly headSize: number | undefined
  readonly valueSize: number | undefined
  /** How many queries and keys there are; undefined where that is dynamic. */
  readonly queries: number | undefined
  readonly keys: number | undefined
  /** Axes in front of queries and keys: batch and heads (also where they were put together just before), one, or none. */
  readonly batch: 'heads' | 'one' | 'none' | undefined
  /** How many rows `one` axis has; undefined where that is dynamic. */
  readonly rows: number | undefined
  /** Whether scores are [..., queries, keys], normalised along keys, and probabilities multiply values from the left. */
  readonly inOrder: boolean | undefined
  /** Operators between the product with keys and the normaliser, and between that and the product with values. */
  readonly before: readonly string[]
  readonly after: readonly string[]
  /** The value between both products that something else reads, or that a graph gives out. */
  readonly readElsewhere: string | undefined
  readonly quantized: QuantizedAttention
}

/** Which operands go through integers or float8 just before they are multiplied. */
export interface QuantizedAttention {
  readonly type: 'none' | 'int8' | 'float8' | 'mixed'
  /** What is quantized of queries, keys, values, probabilities and the output. */
  readonly parts: ReadonlySet<'queries' | 'keys' | 'values' | 'probabilities' | 'output'>
}

/** One reason why a builder keeps the operators of an attention step apart. */
export interface FusionRule {
  readonly code: string
  /** `depends`: on the optimization profile. */
  holds(facts: FusionFacts): 'breaks' | 'depends' | undefined
  /** The end of a sentence that begins with the site. */
  message(facts: FusionFacts): string
  /** What to do, as a sentence. */
  readonly advice: string
  readonly source: string
}

/** Which rules keep a site from being fused. */
export function brokenRules(
  rules: readonly FusionRule[],
  facts: FusionFacts,
): readonly (FusionRule & { readonly effect: 'breaks' | 'depends' })[] {
  return rules.flatMap((rule) => {
    const effect = rule.holds(facts)
    return effect === undefined ? [] : [{ ...rule, effect }]
  })
}
