import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { labelledProduct } from '../ops/index.ts'
import type { Cursor } from './cursor.ts'
import { denominatorAt, summedAxis } from './denominator.ts'
import { peel } from './peel.ts'
import type { Reached } from './walk.ts'

const largest = 64

/**
 * Whether a sum of products over the keys is a statistic of the probabilities and no lookup of values: their entropy, or the
 * sum that they are divided by after a mask.
 */
export function isStatistic({ product, own, other }: Reached, probabilities: Value, facts: Facts): boolean {
  if (product.node.op !== 'ReduceSum') return false
  const readers = (value: Value | undefined): Node[] => value?.uses.map(({ node }) => node) ?? []
  // The weights themselves are divided, or their product with values is.
  const direct = readers(product.node.input(0))
  const products = direct.filter((node) => node !== product.node && labelledProduct(node, facts))
  const divided = [...direct, ...products.flatMap((node) => readers(node.output()))]
  const divides = (node: Node): boolean =>
    node.op === 'Div' &&
    node.input(1) !== undefined &&
    denominatorAt(node.input(1) as Value, facts)?.sum === product.node
  return (
    divided.some(divides) || (isMadeOf(own.value, probabilities, facts) && isMadeOf(other.value, probabilities, facts))
  )
}

/** The node behind which probabilities sum to 1 again, whatever was done to them: it takes back what a sink changes. */
export function renormalisation({ product, other, cursor }: Reached, facts: Facts): Node | undefined {
  for (let at: Cursor | undefined = cursor; at?.step; at = at.from) {
    const { node, input, axisIn } = at.step
    const divisor = input === 0 ? divisorOf(node, facts) : undefined
    if (divisor?.axis === axisIn) return node
    if (node.op === 'LpNormalization' && facts.int(node, 'p') === 1 && isAlong(node, axisIn, facts)) return node
  }
  const late = product.node.output()?.uses.find(({ node, index }) => {
    const sum = node.op === 'Div' && index === 0 ? denominatorAt(node.input(1) as Value, facts) : undefined
    return sum?.guarded === true && peel(sum.summed) === peel(other.value)
  })
  return late?.node
}

/** The sum of its own dividend that a Div divides by, and the axis of it. */
function divisorOf(node: Node, facts: Facts): { sum: Node; axis: number | undefined } | undefined {
  const [top, bottom] = node.inputs
  const divisor = node.op === 'Div' && bottom ? denominatorAt(bottom, facts) : undefined
  if (!divisor?.guarded || divisor.transposed || peel(divisor.summed) !== peel(top)) return undefined
  return { sum: divisor.sum, axis: summedAxis(divisor, facts) }
}

function isAlong(node: Node, axis: number, facts: Facts): boolean {
  const named = facts.int(node, 'axis') ?? -1
  const rank = node.input(0) && facts.rank(node.input(0) as Value)
  return named === axis || (rank !== undefined && named - rank === axis)
}

/** Whether a value comes of the probabilities and constants alone, element by element. */
function isMadeOf(value: Value, probabilities: Value, facts: Facts): boolean {
  const seen = new Set<Value>()
  const open = [value]
  for (let at = open.pop(); at; at = open.pop()) {
    if (at === probabilities || seen.has(at) || facts.isConstant(at)) continue
    seen.add(at)
    const node = at.producer
    if (!node || seen.size > largest || labelledProduct(node, facts)) return false
    open.push(...node.inputs.filter((input) => input !== undefined))
  }
  return true
}
