/** A dense array of doubles, row-major. */
export interface Dense {
  readonly dims: readonly number[]
  readonly data: Float64Array
}

/** What one attention step is computed from. q is [B,H,S,D], k is [B,Hk,T,D], v is [B,Hk,T,Dv]; Hk divides H. */
export interface AttentionCase {
  readonly q: Dense
  readonly k: Dense
  readonly v: Dense
  /** Factor on the scores; 1/sqrt(D) when absent. */
  readonly scale?: number
  /** `softcap * tanh(score / softcap)`, before the bias; 0 is none. */
  readonly softcap?: number
  /** What is added to the score of query i and key j. */
  readonly bias?: (b: number, h: number, i: number, j: number) => number
  /** The sink logit of a head; absent or -Infinity is plain softmax. */
  readonly sink?: (h: number) => number
}

export interface AttentionResult {
  /** [B,H,S,Dv]. */
  readonly output: Dense
  /** Scores before softcap and bias, after both, and the probabilities: [B,H,S,T]. */
  readonly raw: Dense
  readonly scores: Dense
  readonly probabilities: Dense
}

/**
 * Attention in float64, written from the definition: p_j = exp(x_j - m) / (exp(s - m) + sum exp(x - m)), m = max(s, max x).
 * A row without any finite logit and without a sink is zero.
 */
export function attend(c: AttentionCase): AttentionResult {
  const [B = 0, H = 0, S = 0, D = 0] = c.q.dims
  const [, Hk = 0, T = 0] = c.k.dims
  const Dv = c.v.dims[3] ?? 0
  const scale = c.scale ?? 1 / Math.sqrt(D)
  const output = zeros([B, H, S, Dv])
  const raw = zeros([B, H, S, T])
  const scores = zeros([B, H, S, T])
  const probabilities = zeros([B, H, S, T])
  for (let b = 0; b < B; b++)
    for (let h = 0; h < H; h++) {
      const kv = Math.floor(h / (H / Hk))
      for (let i = 0; i < S; i++) {
        const row = ((b * H + h) * S + i) * T
        for (let j = 0; j < T; j++) {
          let dot = 0
          for (let d = 0; d < D; d++) {
            dot += at(c.q, ((b * H + h) * S + i) * D + d) * at(c.k, ((b * Hk + kv) * T + j) * D + d)
          }
          const score = dot * scale
          raw.data[row + j] = score
          const capped = c.softcap ? c.softcap * Math.tanh(score / c.softcap) : score
          scores.data[row + j] = capped + (c.bias?.(b, h, i, j) ?? 0)
        }
        const p = normalise(scores.data.subarray(row, row + T), c.sink?.(h) ?? Number.NEGATIVE_INFINITY)
        probabilities.data.set(p, row)
        for (let d = 0; d < Dv; d++) {
          let sum = 0
          for (let j = 0; j < T; j++) {
            const weight = at(p, j)
            if (weight !== 0) sum += weight * at(c.v, ((b * Hk + kv) * T + j) * Dv + d)
          }
          output.data[((b * H + h) * S + i) * Dv + d] = sum
        }
      }
    }
  return { output, raw, scores, probabilities }
}

function normalise(row: Float64Array, sink: number): Float64Array {
  const max = row.reduce((a, b) => Math.max(a, b), sink)
  if (max === Number.NEGATIVE_INFINITY) return new Float64Array(row.length)
  const exps = row.map((x) => Math.exp(x - max))
  const total = exps.reduce((a, b) => a + b, Math.exp(sink - max))
  return exps.map((x) => x / total)
}

export function zeros(dims: readonly number[]): Dense {
  return { dims, data: new Float64Array(dims.reduce((a, b) => a * b, 1)) }
}

export function dense(dims: readonly number[], data: ArrayLike<number>): Dense {
  return { dims, data: Float64Array.from(data) }
}

/** [B,S,H*D] as [B,H,S,D]. */
export function splitHeads(x: Dense, heads: number): Dense {
  const [B = 0, S = 0, E = 0] = x.dims
  const D = E / heads
  return generate([B, heads, S, D], ([b = 0, h = 0, s = 0, d = 0]) => at(x, (b * S + s) * E + h * D + d))
}

/** [B,H,S,D] as [B,S,H*D]. */
export function mergeHeads(x: Dense): Dense {
  const [B = 0, H = 0, S = 0, D = 0] = x.dims
  return generate([B, S, H * D], ([b = 0, s = 0, e = 0]) => at(x, ((b * H + Math.floor(e / D)) * S + s) * D + (e % D)))
}

/** Joins two arrays along an axis. */
export function concat(a: Dense, b: Dense, axis: number): Dense {
  const first = a.dims[axis] ?? 0
  const dims = a.dims.map((dim, i) => (i === axis ? dim + (b.dims[axis] ?? 0) : dim))
  return generate(dims, (index) => {
    const along = index[axis] ?? 0
    const [from, position] = along < first ? [a, along] : [b, along - first]
    return pick(
      from,
      index.map((x, i) => (i === axis ? position : x)),
    )
  })
}

/** The element at an index. */
export function pick(x: Dense, index: readonly number[]): number {
  let offset = 0
  for (const [i, dim] of x.dims.entries()) offset = offset * dim + (index[i] ?? 0)
  return at(x, offset)
}

/** The element at an index of the shape `x` is broadcast to: trailing dimensions align, size 1 repeats. */
export function broadcastPick(x: Dense, index: readonly number[]): number {
  const own = index.slice(index.length - x.dims.length)
  return pick(
    x,
    own.map((i, axis) => (x.dims[axis] === 1 ? 0 : i)),
  )
}

export function generate(dims: readonly number[], element: (index: number[]) => number): Dense {
  const out = zeros(dims)
  const index = dims.map(() => 0)
  for (let i = 0; i < out.data.length; i++) {
    out.data[i] = element(index.slice())
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] ?? 0) + 1
      if ((index[axis] ?? 0) < (dims[axis] ?? 0)) break
      index[axis] = 0
    }
  }
  return out
}

/** The largest absolute difference; Infinity when the shapes differ or a NaN is met. Equal infinities differ by 0. */
export function distance(a: Dense, b: Dense): number {
  if (a.dims.join() !== b.dims.join()) return Number.POSITIVE_INFINITY
  let worst = 0
  for (let i = 0; i < a.data.length; i++) {
    const x = at(a, i)
    const y = at(b, i)
    if (x === y) continue
    const difference = Math.abs(x - y)
    if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY
    worst = Math.max(worst, difference)
  }
  return worst
}

function at(x: Dense | Float64Array, i: number): number {
  return (x instanceof Float64Array ? x : x.data)[i] ?? Number.NaN
}
