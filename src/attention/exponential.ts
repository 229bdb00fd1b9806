import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'

/** `Exp(x)`, or `Pow(c, x)` with a constant number c. */
export interface Exponential {
  readonly exponent: Value
  /** Whether the base is not e: the scores then are x · log c, which no value of the graph holds. */
  readonly otherBase: boolean
}

/** Half precision holds e as 2.71875. */
const nearE = 2e-4

export function exponentialAt(node: Node | undefined, facts: Facts): Exponential | undefined {
  const exponent = node?.op === 'Exp' ? node.input(0) : node?.op === 'Pow' ? node.input(1) : undefined
  if (!node || !exponent) return undefined
  if (node.op === 'Exp') return { exponent, otherBase: false }
  const base = facts.scalar(node.input(0))
  if (base === undefined || base <= 0 || base === 1 || facts.isConstant(exponent)) return undefined
  return { exponent, otherBase: Math.abs(base / Math.E - 1) > nearE }
}
