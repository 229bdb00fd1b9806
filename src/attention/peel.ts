import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'

const transparent = new Set(['Cast', 'CastLike', 'Identity', 'Dropout'])
const reshaping = new Set([...transparent, 'Unsqueeze', 'Squeeze', 'Reshape', 'Expand'])

/** The value behind type conversions and no-ops. */
export function peel(value: Value | undefined): Value | undefined {
  return peelThrough(value, transparent)
}

/** The value behind anything that only spreads one number a row: for sums, maxima and constants that broadcast. */
export function peelRow(value: Value | undefined): Value | undefined {
  return peelThrough(value, reshaping)
}

function peelThrough(value: Value | undefined, ops: ReadonlySet<string>): Value | undefined {
  let at = value
  while (at?.producer && ops.has(at.producer.op)) at = at.producer.input(0)
  return at
}

/** Producer behind type conversions, when it is of the given operator. */
export function producedBy(value: Value | undefined, op: string): Node | undefined {
  const node = peel(value)?.producer
  return node?.op === op ? node : undefined
}

/** The two sides of a negation: `-x` as Neg, Mul by -1 or 0 - x. */
export function negated(value: Value | undefined, facts: Facts): Value | undefined {
  const node = peelRow(value)?.producer
  if (node?.op === 'Neg') return node.input(0)
  if (node?.op === 'Mul') return pick(node, (v) => facts.scalar(v) === -1)?.other
  if (node?.op === 'Div' && facts.scalar(node.input(1)) === -1) return node.input(0)
  if (node?.op === 'Sub' && facts.scalar(node.input(0)) === 0) return node.input(1)
  return undefined
}

/** `a - b`, spelled as Sub or as Add of a negation. */
export function difference(
  value: Value | undefined,
  facts: Facts,
): { node: Node; left: Value; right: Value } | undefined {
  const node = peel(value)?.producer
  const [a, b] = node?.inputs ?? []
  if (!node || !a || !b) return undefined
  if (node.op === 'Sub') return { node, left: a, right: b }
  if (node.op !== 'Add') return undefined
  const right = negated(b, facts)
  if (right) return { node, left: a, right }
  const left = negated(a, facts)
  return left && { node, left: b, right: left }
}

/** Both orders of a commutative node: the input that fits and the other one. */
export function pick(node: Node, fits: (value: Value) => boolean): { found: Value; other: Value } | undefined {
  const [a, b] = node.inputs
  if (!a || !b) return undefined
  if (fits(a)) return { found: a, other: b }
  return fits(b) ? { found: b, other: a } : undefined
}
