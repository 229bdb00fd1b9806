import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { reducedAxes } from '../ops/index.ts'
import { difference, peel, peelRow, producedBy } from './peel.ts'
import { sinkOfNumbers } from './sink.ts'
import type { Sink } from './site.ts'

/**
 * The factor `sigmoid(L - s)` that turns softmax(x) into softmax with sink s, where L = logsumexp(x).
 *
 * L may be spelled ReduceLogSumExp(x) or ReduceMax(x) - Log(ReduceMax(p)).
 */
export function sigmoidGate(
  factor: Value | undefined,
  scores: Value,
  probabilities: Value,
  facts: Facts,
): { sink: Sink; nodes: Node[] } | undefined {
  const sigmoid = peelRow(factor)?.producer
  if (sigmoid?.op !== 'Sigmoid') return undefined
  const whole = rowSum(sigmoid.input(0), scores, probabilities, facts)
  if (whole) return { sink: { kind: 'zero' }, nodes: [sigmoid, ...whole] }
  const shifted = difference(sigmoid.input(0), facts)
  const rest = shifted && rowSum(shifted.left, scores, probabilities, facts)
  if (!shifted || !rest || !facts.isConstant(shifted.right)) return undefined
  const numbers = facts.numbers(shifted.right)
  return { sink: numbers ? sinkOfNumbers(numbers) : { kind: 'learned' }, nodes: [sigmoid, shifted.node, ...rest] }
}

/** The nodes that compute logsumexp of the scores. */
function rowSum(value: Value | undefined, scores: Value, probabilities: Value, facts: Facts): Node[] | undefined {
  const lse = peelRow(value)?.producer
  const overKeys = (node: Node): boolean => isOverKeys(node, probabilities, facts)
  if (lse?.op === 'ReduceLogSumExp') return peel(lse.input(0)) === peel(scores) && overKeys(lse) ? [lse] : undefined
  const parts = difference(peelRow(value), facts)
  const maximum = peelRow(parts?.left)?.producer
  const log = peelRow(parts?.right)?.producer
  const peak = log?.op === 'Log' ? producedBy(log.input(0), 'ReduceMax') : undefined
  const matches =
    maximum?.op === 'ReduceMax' &&
    peel(maximum.input(0)) === peel(scores) &&
    overKeys(maximum) &&
    peak &&
    overKeys(peak) &&
    peel(peak.input(0)) === probabilities
  return parts && log && peak && matches ? [parts.node, maximum, log, peak] : undefined
}

/** Whether a reduction is over the axis of the softmax and no other. */
function isOverKeys(node: Node, probabilities: Value, facts: Facts): boolean {
  const rank = facts.rank(probabilities)
  const axis = probabilities.producer?.int('axis') ?? -1
  const axes = reducedAxes(node, facts)
  return axes?.length === 1 && (axes[0] === axis || (rank !== undefined && axes[0] === axis - rank))
}
