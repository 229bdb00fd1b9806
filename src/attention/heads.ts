import type { Value } from '../ir/index.ts'
import type { AxisAt, Facts, OpRecord, Size } from '../ops/index.ts'
import { divideSizes, recordOf, reshapeGroups } from '../ops/index.ts'
import type { Heads } from './site.ts'
import type { Reached } from './walk.ts'

/**
 * Where heads live in the scores, seen from the axis in front of queries and keys. An axis that merges batch and heads is
 * told apart by the Reshape that merged it: H is the innermost part.
 */
export function headsOf(input: Value, axis: number, reached: Reached | undefined, facts: Facts): Heads | undefined {
  const shape = facts.shape(input)
  if (!shape || shape.length < 3 || axis < -2 || !reached) return undefined
  const count = shape.at(-3)
  if (shape.length >= 4) return typeof count === 'number' ? { axis: -3, count, merged: false } : undefined
  const merged = mergedHeads(reached.own.value, facts) ?? mergedHeads(reached.other.value, facts)
  return merged === undefined ? undefined : { axis: -3, count: merged, merged: true }
}

/** Head count of a three-dimensional operand whose first axis is B*H. */
function mergedHeads(operand: Value, facts: Facts): number | undefined {
  let value: Value | undefined = operand
  let axis = -3
  for (let i = 0; value && i < 32; i++) {
    const node: Value['producer'] = value.producer
    const record: OpRecord | undefined = node && recordOf(node)
    if (!node || !record) return undefined
    if (node.op === 'Reshape') {
      const inner = innermost(facts.shape(node.input(0) as Value), facts.shape(value), axis)
      if (inner !== undefined) return inner
    }
    if (record.passage !== 'layout' && record.passage !== 'arithmetic') return undefined
    const [place]: readonly AxisAt[] = record.axes?.back(node, node.outputs.indexOf(value), axis, facts) ?? []
    value = place && node.input(place.port)
    axis = place?.axis ?? 0
  }
  return undefined
}

/** Size of the last part of an axis that a Reshape made: of [B, H] in [B*H], or of [B, H*D] in [B*H, D]. */
function innermost(
  from: readonly Size[] | undefined,
  to: readonly Size[] | undefined,
  axis: number,
): number | undefined {
  if (!from || !to) return undefined
  const at = to.length + axis
  const group = reshapeGroups(from, to).find((g) => g.to.includes(at))
  const sources = group?.from.map((i) => from[i] as Size) ?? []
  const last = sources.at(-1)
  if (!group || last === undefined || sources.length < 2) return undefined
  if (group.to.length === 1) return typeof last === 'number' ? last : undefined
  const own =
    group.to.length === 2 && group.to[0] === at ? divideSizes(last, to[group.to[1] as number] as Size) : undefined
  return typeof own === 'number' ? own : undefined
}
