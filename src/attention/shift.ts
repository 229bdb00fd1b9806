import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { reducedAxes } from '../ops/index.ts'
import { difference, peel, peelRow } from './peel.ts'

/** `x - m` where m bounds each row of x: the shift that softmax ignores and Softmax1 does not. */
export interface Shift {
  /** x, before the shift. */
  readonly input: Value
  /** m, as it is subtracted. */
  readonly maximum: Value
  readonly nodes: readonly Node[]
}

/** Sees `x - ReduceMax(x)`, also with the maximum clamped (Max, Relu, Clip) or guarded against infinities (Where). */
export function maximumShift(value: Value, axis: number | undefined, facts: Facts): Shift | undefined {
  const parts = difference(value, facts)
  if (!parts) return undefined
  const nodes = maximumOf(parts.right, parts.left, axis, facts)
  return nodes && { input: parts.left, maximum: parts.right, nodes: [...nodes, parts.node] }
}

/** Operators between scores and softmax that a shift is looked for behind, with the inputs that carry scores. */
const behind: ReadonlyMap<string, readonly number[]> = new Map<string, readonly number[]>([
  ...['Cast', 'CastLike', 'Identity', 'Dropout', 'Clip', 'Reshape', 'Squeeze', 'Unsqueeze', 'Transpose'].map(
    (op) => [op, [0]] as const,
  ),
  ...['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min'].map((op) => [op, [0, 1]] as const),
  ['Where', [1, 2]],
])
const deepest = 12

/**
 * Whether something is subtracted from each row somewhere between scores and softmax that is not the maximum of what enters the
 * softmax: a maximum (the scores are scaled, masked or clipped behind it, or it is one of something else), or a mean or the like
 * over `axis`. Softmax does not care about a shift of a row; Softmax1 does, and what the scores were before is not known.
 */
export function hasForeignShift(value: Value, axis: number | undefined, facts: Facts): boolean {
  const seen = new Set<Value>()
  let open = [value]
  for (let depth = 0; depth < deepest && open.length > 0; depth++) {
    const next: Value[] = []
    for (const at of open) {
      if (seen.has(at) || facts.isConstant(at)) continue
      seen.add(at)
      const parts = difference(at, facts)
      if (parts && maximumOf(parts.right, undefined, undefined, facts) !== undefined) return true
      if (parts && isStatisticOfRows(parts.right, axis, facts)) return true
      const node = at.producer
      const ports = node ? (behind.get(node.op) ?? []) : []
      next.push(...ports.flatMap((port) => node?.input(port) ?? []))
    }
    open = next
  }
  return false
}

const statistics = new Set(['ReduceMean', 'ReduceMin', 'ReduceSum', 'ReduceLogSumExp', 'ReduceL1', 'ReduceL2'])

/** Whether a value reduces the normalised axis otherwise than to its maximum. */
function isStatisticOfRows(value: Value, axis: number | undefined, facts: Facts): boolean {
  const node = peelRow(value)?.producer
  return node !== undefined && statistics.has(node.op) && axis !== undefined && reduces(node, axis, facts)
}

function maximumOf(
  value: Value | undefined,
  x: Value | undefined,
  axis: number | undefined,
  facts: Facts,
  depth = 6,
): Node[] | undefined {
  const node = peelRow(value)?.producer
  if (!node || depth === 0) return undefined
  const through = (ports: readonly number[]): Node[] | undefined => {
    for (const port of ports) {
      const inner = maximumOf(node.input(port), x, axis, facts, depth - 1)
      if (inner && isOneARow(node, port, axis, facts)) return [...inner, node]
    }
    return undefined
  }
  switch (node.op) {
    case 'ReduceMax':
      return isOver(node, x) && reduces(node, axis, facts) ? [node] : undefined
    case 'TopK':
      return isOver(node, x) && facts.scalar(node.input(1)) === 1 ? [node] : undefined
    case 'Max':
      return through(node.inputs.map((_, i) => i))
    case 'Where':
      return through([1, 2])
    case 'Relu':
    case 'Clip':
      return through([0])
    default:
      return undefined
  }
}

/** Whether the maximum is one number a row: it reduces the normalised axis, whatever else it reduces. */
function reduces(node: Node, axis: number | undefined, facts: Facts): boolean {
  const axes = reducedAxes(node, facts)
  return axes !== undefined && (axis === undefined || axes.includes(axis))
}

/** Whether a maximum is taken of `x`; of anything when no `x` is given. */
function isOver(node: Node, x: Value | undefined): boolean {
  return x === undefined || peel(node.input(0)) === peel(x)
}

/** Whether the operands beside the maximum hold one number a row, so that what comes out does too. */
function isOneARow(node: Node, port: number, axis: number | undefined, facts: Facts): boolean {
  if (axis === undefined) return true
  return node.inputs.every((value, i) => {
    if (!value || i === port) return true
    const rank = facts.rank(value)
    return rank !== undefined && (rank < -axis || facts.size(value, axis) === 1)
  })
}
