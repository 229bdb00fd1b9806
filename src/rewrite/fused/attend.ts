import type { DType, Value } from '../../ir/index.ts'
import { dtypes } from '../../ir/index.ts'
import type { Workbench } from './workbench.ts'

/** One attention step on split heads. */
export interface AttentionInputs {
  /** [B, H, S, D]. */
  readonly q: Value
  /** [B, H, T, D]. */
  readonly k: Value
  /** [B, H, T, Dv]. */
  readonly v: Value
  /** Factor on q·kᵀ; 1/sqrt(D) when undefined. */
  readonly scale: number | undefined
  /** `cap * tanh(x / cap)` on the scaled scores; 0 is none. */
  readonly softcap?: number
  /** Added to the scores last; broadcasts against [B, H, S, T]. */
  readonly bias?: Value | undefined
  /** Type the softmax is computed in, when it is another one. */
  readonly softmaxType?: DType | undefined
}

/** What an attention operator may give out. Scores and probabilities are [B, H, S, T]. */
export interface AttentionValues {
  /** `scale * q·kᵀ`. */
  readonly raw: Value
  /** After the soft cap. */
  readonly capped: Value
  /** After the bias. */
  readonly scores: Value
  /** The same in the type the softmax is computed in. */
  readonly entering: Value
  /** What the softmax gives, in the type it was computed in. */
  readonly normalised: Value
  /** The same in the element type. */
  readonly probabilities: Value
  /** [B, H, S, Dv]. */
  readonly output: Value
}

/** `softmax(softcap(scale * q·kᵀ) + bias) · v` in standard operators. */
export function attend(bench: Workbench, inputs: AttentionInputs): AttentionValues {
  const { op, dtype } = bench
  const { q, k, v, softcap = 0, bias, softmaxType = dtype } = inputs
  const raw = op.MatMul(scaled(bench, q, inputs.scale), op.Transpose(k, [0, 1, 3, 2]))
  const cap = softcap === 0 ? undefined : bench.number(softcap)
  const capped = cap ? op.Mul(op.Tanh(op.Div(raw, cap)), cap) : raw
  const scores = bias ? op.Add(capped, bias) : capped
  const cast = softmaxType !== dtype
  const entering = cast ? op.Cast(scores, softmaxType) : scores
  const normalised = op.Softmax(entering, -1, 4)
  // Declared so that later passes know it without following the graph.
  op.typed(normalised, { kind: 'tensor', dtype: softmaxType, shape: undefined })
  const probabilities = cast ? op.Cast(normalised, dtype) : normalised
  return { raw, capped, scores, entering, normalised, probabilities, output: op.MatMul(probabilities, v) }
}

/** The query times the scale: a small tensor, and half precision does not overflow in the product. */
function scaled(bench: Workbench, q: Value, scale: number | undefined): Value {
  const { op, dtype, facts } = bench
  const headSize = facts.size(q, -1)
  const factor = scale ?? (typeof headSize === 'number' ? 1 / Math.sqrt(headSize) : undefined)
  if (factor === 1) return q
  if (factor !== undefined) return op.Mul(q, bench.number(factor))
  const root = op.Cast(op.Sqrt(op.Cast(bench.length({ value: q, axis: -1 }), dtypes.float)), dtype)
  return op.Div(q, root)
}
