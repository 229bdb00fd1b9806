import type { Observation } from './observe.ts'
import type { ValueState } from './table.ts'

/** Values whose elements leave the graph in one run, by name. */
export type Group = ReadonlySet<string>

/** Divides values, in their order, so that the elements of each part take no more than `budget` bytes, or are of one value. */
export function groupsOf(bytes: ReadonlyMap<string, number>, budget: number): readonly Group[] {
  const groups: Set<string>[] = [new Set()]
  let used = 0
  for (const [name, size] of bytes) {
    if (used > 0 && used + size > budget) {
      groups.push(new Set())
      used = 0
    }
    groups.at(-1)?.add(name)
    used += size
  }
  return groups
}

/** The larger of what was known of each value and what it takes now. */
export function largestOf(
  known: ReadonlyMap<string, number>,
  now: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  return new Map(Array.from(now, ([name, size]) => [name, Math.max(size, known.get(name) ?? 0)]))
}

/** One sample, seen in runs of which each gave the elements of other values. */
export function together(parts: readonly Observation[]): Observation {
  const [first, ...rest] = parts as readonly [Observation, ...Observation[]]
  const values = new Map<string, ValueState>(first.values)
  for (const { values: more } of rest) {
    for (const [name, { histogram, moments }] of more) {
      const known = values.get(name)
      if (known)
        values.set(name, { ...known, histogram: known.histogram ?? histogram, moments: known.moments ?? moments })
    }
  }
  return { ...first, values }
}
