import type { DType, Graph, Node, Value } from '../ir/index.ts'

export type VerdictKind = 'attention' | 'already-softmax1' | 'learned-sink' | 'fused' | 'rejected' | 'review'

/** Why a site is not simply attention. Stable codes; the message says it in words. */
export type Reason =
  | 'axis-unknown'
  | 'callers-disagree'
  | 'channel-attention'
  | 'excluded'
  | 'flattened-axes'
  | 'fused-operator'
  | 'kernel-approximation'
  | 'k-is-weight'
  | 'late-division'
  | 'learned-sink'
  | 'log-softmax'
  | 'loop-carried'
  | 'masked-exponentials'
  | 'masked-logarithms'
  | 'no-score'
  | 'no-value'
  | 'other-base'
  | 'pairwise-score'
  | 'q-is-weight'
  | 'quantized-softmax'
  | 'static-memory'
  | 'too-many-calls'
  | 'unknown-denominator'
  | 'unknown-normalisation'
  | 'unknown-shift'
  | 'unknown-sink'
  | 'unshifted-one'
  | 'v-constant'

export interface Verdict {
  readonly kind: VerdictKind
  readonly reason: Reason | null
  /** One sentence a user understands. */
  readonly message: string
}

/** Which debatable kinds count as attention, and which sites the user decided by name. All off by default. */
export interface Policies {
  /** The query is a bare weight: attention pooling with a learned query. */
  readonly pooling?: boolean
  /** Scores compare channels by summing over positions (XCiT, Restormer, DANet). */
  readonly channelAttention?: boolean
  /** Keys and values are both constants: lookup in stored patterns. */
  readonly staticMemories?: boolean
  /** Sites for which it is false are left alone. */
  readonly only?: (name: string) => boolean
  /** Sites for which it is true are attention whatever the walk found, where Softmax1 can take the place of the spelling. */
  readonly force?: (name: string) => boolean
}

/** A sum of products on the way from q and k to the context. For a ReduceSum over a Mul it is the Mul. */
export interface Contraction {
  readonly node: Node
  /** Input index of the operand that owns the key axis: K for scores, V for values. */
  readonly dataInput: number
  /** Input index of the other operand: Q for scores, the probabilities for values. */
  readonly otherInput: number
  /** Negative axis of the data operand that is the key axis. */
  readonly axis: number
}

/** One node an axis was followed through, in dataflow direction; axes are negative. */
export interface Step {
  readonly node: Node
  readonly input: number
  readonly output: number
  readonly axisIn: number
  readonly axisOut: number
}

/** The logit added to the denominator: none is softmax, zero is Softmax1. */
export type Sink =
  | { readonly kind: 'none' }
  | { readonly kind: 'zero' }
  | { readonly kind: 'constant'; readonly value: number[] }
  | { readonly kind: 'learned' }

/** Where heads live in the scores: an axis of their own, or merged behind the batch (`merged`: the axis is B*H, H inner). */
export interface Heads {
  readonly axis: number
  readonly count: number
  readonly merged: boolean
}

/** A normaliser, or a fused attention operator, with what the walk along its axis found. */
export interface Site {
  readonly graph: Graph
  /** `''` for the main graph, `If_12/then_branch` for a nested one, `function:domain.name` for a function body. */
  readonly graphPath: string
  /** The Softmax, the last node of a decomposed spelling, or the fused operator. */
  readonly node: Node
  /** All nodes of the spelling. */
  readonly nodes: readonly Node[]
  readonly spelling: string
  /** Scores that enter the normaliser, before any explicit shift by their maximum; `undefined` for fused operators. */
  readonly input: Value | undefined
  /** Probabilities, or output 0 of a fused operator. The identity of a site through all passes. */
  readonly output: Value
  /** Negative axis of `input` that is normalised. */
  readonly axis: number
  /**
   * For a spelling that divides by the sum only after the product with values, the product that `node` divides: it is the
   * context as soon as `output`, the exponentials, are probabilities.
   */
  readonly context: Value | undefined
  readonly dtype: DType | undefined
  readonly sink: Sink
  /** Score contractions, the one to rely on first. */
  readonly scores: readonly Contraction[]
  readonly values: readonly Contraction[]
  /**
   * Steps from the output of `scores[0]` to `input`, and from `output` to the probability operand of `values[0]`. Given only
   * when every step is certain and in the graph of the site; check that the ends meet: an empty path means "the same value"
   * or "unknown".
   */
  readonly scorePath: readonly Step[]
  readonly valuePath: readonly Step[]
  readonly heads: Heads | undefined
  readonly verdict: Verdict
  readonly notes: readonly string[]
}
