import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import type { Range } from './statistics.ts'

/**
 * The part of a range that those who read a value can tell apart: below 0 ReLU sees nothing, and hard-swish nothing below -3.
 * Rounding what is outside to the bound changes nothing, and leaves finer steps for the rest.
 */
export function visibleRange(value: Value, range: Range, facts: Facts): Range {
  if (value.outputUses > 0) return range
  const seen = value.consumers.map((node) => seenBy(node, value, facts))
  const min = Math.max(range.min, Math.min(...seen.map((part) => part.min)))
  const max = Math.min(range.max, Math.max(...seen.map((part) => part.max)))
  return min < max ? { min, max } : range
}

const everything: Range = { min: Number.NEGATIVE_INFINITY, max: Number.POSITIVE_INFINITY }

function seenBy(node: Node, value: Value, facts: Facts): Range {
  switch (node.op) {
    case 'Relu':
      return { ...everything, min: 0 }
    case 'Clip': {
      if (node.inputs.lastIndexOf(value) !== 0) return everything
      return {
        min: bound(node, 'min', 1, facts) ?? everything.min,
        max: bound(node, 'max', 2, facts) ?? everything.max,
      }
    }
    case 'HardSigmoid':
      return slope(node)
    case 'Mul': {
      const other = node.inputs.find((input) => input !== value)?.producer
      return other?.op === 'HardSigmoid' && other.input(0) === value
        ? { ...everything, min: slope(other).min }
        : everything
    }
    default:
      return everything
  }
}

/** Where `alpha x + beta` is between 0 and 1. Source: ONNX HardSigmoid. */
function slope(node: Node): Range {
  const [alpha, beta] = [node.float('alpha') ?? 0.2, node.float('beta') ?? 0.5]
  return alpha > 0 ? { min: -beta / alpha, max: (1 - beta) / alpha } : everything
}

function bound(node: Node, name: string, port: number, facts: Facts): number | undefined {
  return node.input(port) ? facts.scalar(node.input(port)) : node.float(name)
}
