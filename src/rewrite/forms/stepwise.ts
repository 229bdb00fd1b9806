import type { Contraction, Site } from '../../attention/index.ts'
import type { Node, Value } from '../../ir/index.ts'
import type { Facts } from '../../ops/index.ts'
import { recordOf } from '../../ops/index.ts'

/**
 * Whether a site sees few queries at a time against many keys: one query, or keys of earlier steps that come in from outside.
 * Adding a key copies all keys and values then, for a row or two of scores.
 */
export function isStepwise(site: Site, facts: Facts): boolean {
  const { input, axis } = site
  const single = axis === -1 && input !== undefined && (facts.rank(input) ?? 0) > 1 && facts.size(input, -2) === 1
  if (single) return true
  const joined = [...site.scores, ...site.values].some((contraction) => isJoined(contraction, facts))
  return joined || site.scores.some((contraction) => isGiven(contraction, facts))
}

/** Keys or values of this step are joined to ones from outside. */
function isJoined({ node, dataInput, axis }: Contraction, facts: Facts): boolean {
  const data = node.input(dataInput)
  return data !== undefined && partsOf(data, axis, facts).some((part) => sourceOf(part, facts)?.isInput ?? false)
}

/** Keys come from outside as they are, and queries do not: keys that were computed once, for all steps. */
function isGiven({ node, dataInput, otherInput }: Contraction, facts: Facts): boolean {
  const [data, other] = [node.input(dataInput), node.input(otherInput)].map((value) => value && sourceOf(value, facts))
  return data?.isInput === true && other?.isInput !== true
}

/** What a key axis is joined of, seen through layout and arithmetic; nothing when it is of one piece. */
function partsOf(value: Value, axis: number, facts: Facts): Value[] {
  let [at, along] = [value, axis]
  for (let node = at.producer; node; node = at.producer) {
    if (node.op === 'Concat' && isAlong(node, along, facts)) return node.inputs.filter((v) => v !== undefined)
    const record = recordOf(node)
    const place =
      record?.passage === 'layout' || record?.passage === 'arithmetic'
        ? record.axes?.back(node, node.outputs.indexOf(at), along, facts)[0]
        : undefined
    const input = place && node.input(place.port)
    if (!input) return []
    at = input
    along = place.axis
  }
  return []
}

function isAlong(node: Node, axis: number, facts: Facts): boolean {
  const named = facts.int(node, 'axis') ?? 0
  const rank = facts.rank(node.output() as Value)
  return named === axis || (rank !== undefined && named - rank === axis)
}

/** What a value is a rearrangement of, constant factors left aside. */
function sourceOf(value: Value, facts: Facts): Value | undefined {
  let at = value
  for (let node = at.producer; node; node = at.producer) {
    const input = rearranged(node, facts)
    if (!input) return undefined
    at = input
  }
  return at
}

function rearranged(node: Node, facts: Facts): Value | undefined {
  if (node.op === 'Mul' || node.op === 'Div') {
    const [varying, ...more] = node.inputs.filter((value) => value && !facts.isConstant(value))
    return more.length === 0 ? varying : undefined
  }
  return recordOf(node)?.passage === 'layout' && node.op !== 'Concat' ? node.input(0) : undefined
}
