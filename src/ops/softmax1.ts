/**
 * Softmax with a sink logit s in its denominator (Softmax1 for s = 0), in float64:
 *
 * `p_i = exp(x_i - m) / (exp(s - m) + Σ_j exp(x_j - m))` with `m = max(s, max_j x_j)`.
 *
 * The shift by m makes it exact for any logits: a row of -inf (all keys masked) is 0, never NaN. `s = -Infinity` is plain
 * softmax. Source: Hu et al., "Outlier-Efficient Hopfield Layers for Large Transformer-Based Models", 2024 (s = 0).
 */
export function softmax1(row: ArrayLike<number>, sink = 0): Float64Array {
  let m = sink
  for (let i = 0; i < row.length; i++) m = Math.max(m, row[i] as number)
  const result = new Float64Array(row.length)
  // Only plain softmax over a row of -inf has no maximum; it has no value either.
  if (m === Number.NEGATIVE_INFINITY) return result.fill(Number.NaN)
  let sum = Math.exp(sink - m)
  for (let i = 0; i < row.length; i++) {
    const e = Math.exp((row[i] as number) - m)
    result[i] = e
    sum += e
  }
  for (let i = 0; i < row.length; i++) result[i] = (result[i] as number) / sum
  return result
}
