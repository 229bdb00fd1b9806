import { random } from '../runtime/random.ts'
import type { Shard } from './source.ts'

/** Which samples of a source are used. */
export interface Selection {
  /** Ascending positions in the source, all shards together. */
  readonly all: Uint32Array
  /** The part of this shard: `all.subarray(start, end)`. */
  readonly start: number
  readonly end: number
}

/**
 * A subset of `samples` positions out of `count`, and the part of it that a shard has: neighbours stay together, sizes
 * differ by one at most. Depends on count, samples and seed only, so that shards are parts of one subset.
 */
export function select(count: number, samples: number, seed: number, shard: Shard = { index: 1, count: 1 }): Selection {
  const all = samples >= count ? Uint32Array.from({ length: count }, (_, i) => i) : subset(count, samples, seed)
  const edge = (i: number) => Math.floor((i * all.length) / shard.count)
  return { all, start: edge(shard.index - 1), end: edge(shard.index) }
}

/** The first steps of a Fisher-Yates shuffle; only what was moved is kept. */
function subset(count: number, samples: number, seed: number): Uint32Array {
  const next = random(seed)
  const moved = new Map<number, number>()
  const picked = new Uint32Array(samples)
  for (let i = 0; i < samples; i++) {
    const j = i + Math.floor(next() * (count - i))
    picked[i] = moved.get(j) ?? j
    moved.set(j, moved.get(i) ?? i)
  }
  return picked.sort()
}
