import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import type { Quantization } from './quantization.ts'
import type { Range } from './statistics.ts'

/**
 * The range of a value by what calibration saw of it, or else of what it is a rearrangement of: rows of zeros that a
 * conversion added, and axes in another order, are not in a table that was made before.
 */
export function rangeBehind(value: Value, quantization: Quantization, facts: Facts): Range | undefined {
  const seen = quantization.statisticsOf(value)?.rangeBy(quantization.settings.range)
  if (seen) return isBounded(seen) ? seen : undefined
  const node = value.producer
  return node && rangeThrough(node, quantization, facts)
}

const rearranging = new Set(['Expand', 'Identity', 'Reshape', 'Squeeze', 'Transpose', 'Unsqueeze'])

function rangeThrough(node: Node, quantization: Quantization, facts: Facts): Range | undefined {
  const [first, second] = [node.input(0), node.input(1)]
  if (!first) return undefined
  if (rearranging.has(node.op)) return rangeBehind(first, quantization, facts)
  if (node.op === 'Pad') {
    const fill = node.input(2) ? facts.scalar(node.input(2)) : (node.float('value') ?? 0)
    const range = rangeBehind(first, quantization, facts)
    return range && fill !== undefined && (node.string('mode') ?? 'constant') === 'constant'
      ? { min: Math.min(range.min, fill), max: Math.max(range.max, fill) }
      : undefined
  }
  const factor = node.op === 'Mul' || node.op === 'Div' ? facts.scalar(second) : undefined
  const range = factor ? rangeBehind(first, quantization, facts) : undefined
  if (!factor || !range) return undefined
  const by = node.op === 'Mul' ? factor : 1 / factor
  const ends = [range.min * by, range.max * by]
  return { min: Math.min(...ends), max: Math.max(...ends) }
}

function isBounded({ min, max }: Range): boolean {
  return Number.isFinite(min) && Number.isFinite(max)
}
