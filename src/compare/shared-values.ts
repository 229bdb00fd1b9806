import type { DType, Model, Value } from '../ir/index.ts'
import { dtypes } from '../ir/index.ts'
import { dtypeOf, Facts } from '../ops/index.ts'
import { matchNodes } from './match.ts'

/** A tensor that both models compute; `dtype` is what it is in each. */
export interface SharedValue {
  readonly a: string
  readonly b: string
  readonly dtypeA: DType
  readonly dtypeB: DType
}

/**
 * The tensors of the main graphs that both models compute of their inputs, in the order of the second model: what nodes
 * give that are a pair, and what has the same name in both. Floats are shared with floats, and other types with their like.
 */
export function sharedValues(a: Model, b: Model): SharedValue[] {
  const [factsA, factsB] = [new Facts(), new Facts()]
  const partner = partnersOf(a, b)
  const found: SharedValue[] = []
  for (const node of b.graph.nodes()) {
    for (const value of node.outputs) {
      const other = value && partner.get(value)
      if (!value || !other || factsB.isConstant(value) || factsA.isConstant(other)) continue
      const [dtypeA, dtypeB] = [dtypeOf(other), dtypeOf(value)]
      if (dtypeA === undefined || dtypeB === undefined || !areComparable(dtypeA, dtypeB)) continue
      found.push({ a: other.name, b: value.name, dtypeA, dtypeB })
    }
  }
  return found
}

/** For values of the second model, those of the first. */
function partnersOf(a: Model, b: Model): ReadonlyMap<Value, Value> {
  const partner = new Map<Value, Value>()
  const taken = new Set<Value>()
  const pair = (value: Value | undefined, other: Value | undefined) => {
    if (!value || !other || partner.has(other) || taken.has(value)) return
    partner.set(other, value)
    taken.add(value)
  }
  for (const [node, other] of matchNodes(a.graph, b.graph)) {
    if (node.op !== other.op) continue
    for (const [i, value] of node.outputs.entries()) pair(value, other.output(i))
  }
  for (const node of b.graph.nodes()) {
    for (const value of node.outputs) {
      const same = value && a.graph.values.get(value.name)
      if (same?.producer) pair(same, value)
    }
  }
  return partner
}

/** Types that are compared as numbers, and that a session gives and takes. */
const floats: readonly DType[] = [dtypes.float, dtypes.float16, dtypes.double]
const integers = ['int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64', 'bool'] as const

function areComparable(a: DType, b: DType): boolean {
  if (floats.includes(a)) return floats.includes(b)
  return a === b && integers.some((name) => dtypes[name] === a)
}
