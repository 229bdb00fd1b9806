import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { reducedAxes } from '../ops/index.ts'
import { columnOf, isHidden } from './column.ts'
import type { Added } from './denominator.ts'
import { denominatorAt, meaningOf, sameRow, summedAxis, unknownSink } from './denominator.ts'
import type { Normaliser } from './normaliser.ts'
import { difference, peel, peelRow } from './peel.ts'
import { maximumShift } from './shift.ts'
import { columnSink } from './sink.ts'

/** `Exp(LogSoftmax(x))` and `Exp(x - L)` where L is the logarithm of a sum of exponentials of x. */
export function exponentOfLog(node: Node, facts: Facts): Normaliser | undefined {
  const output = node.output()
  const log = peel(node.input(0))?.producer
  if (!output) return undefined
  if (log?.op === 'LogSoftmax' && log.input(0)) {
    const input = log.input(0) as Value
    const rank = facts.rank(input)
    const given = log.attributes.has('axis') ? facts.int(log, 'axis') : facts.opset(log) < 13 ? 1 : -1
    const axis = given === undefined || given < 0 ? given : rank === undefined ? undefined : given - rank
    return found(node, [log, node], 'exp-log-softmax', input, output, axis, { sink: { kind: 'none' } })
  }
  const parts = difference(node.input(0), facts)
  const sum = parts && logarithmOfSum(parts.right, parts.left, facts)
  if (!parts || !sum) return undefined
  return found(node, [...sum.nodes, parts.node, node], 'exp-minus-lse', parts.left, output, sum.axis, sum.added)
}

function found(
  node: Node,
  nodes: Node[],
  spelling: string,
  input: Value,
  output: Value,
  axis: number | undefined,
  { sink, problem }: Added,
): Normaliser {
  return { node, nodes, spelling, input, output, axis, alsoAxes: [], sink, problem }
}

interface LogSum {
  readonly axis: number | undefined
  readonly nodes: Node[]
  readonly added: Added
}

/** ReduceLogSumExp(x), Log(Σ exp(x) [+ 1]), m + Log(Σ exp(x - m) [+ …]), and Softplus of the first (which adds the 1). */
function logarithmOfSum(value: Value, x: Value, facts: Facts): LogSum | undefined {
  const node = peelRow(value)?.producer
  if (node?.op === 'ReduceLogSumExp') {
    const axes = reducedAxes(node, facts)
    const axis = axes?.length === 1 ? axes[0] : undefined
    const wider = node.input(0) && widened(node.input(0) as Value, x, axis, facts)
    return wider && { axis, nodes: [node], added: wider }
  }
  if (node?.op === 'Softplus') {
    const inner = node.input(0) && logarithmOfSum(node.input(0) as Value, x, facts)
    return inner?.added.sink.kind === 'none'
      ? { ...inner, nodes: [...inner.nodes, node], added: { sink: { kind: 'zero' } } }
      : undefined
  }
  if (node?.op === 'Log') return sumUnderLog(node, x, undefined, facts)
  if (node?.op !== 'Add') return undefined
  for (const port of [0, 1]) {
    const log = peelRow(node.input(port))?.producer
    const inner = log?.op === 'Log' ? sumUnderLog(log, x, node.input(1 - port), facts) : undefined
    if (inner) return { ...inner, nodes: [...inner.nodes, node] }
  }
  return undefined
}

function sumUnderLog(log: Node, x: Value, maximum: Value | undefined, facts: Facts): LogSum | undefined {
  const denominator = log.input(0) && denominatorAt(log.input(0) as Value, facts)
  if (!denominator) return maximum ? undefined : exponentUnderLog(log, x, facts)
  const exp = peel(denominator.summed)?.producer
  const exponent = exp?.op === 'Exp' ? exp.input(0) : undefined
  if (denominator.transposed || !exp || !exponent) return undefined
  const axis = summedAxis(denominator, facts)
  const shift = maximum ? maximumShift(exponent, axis, facts) : undefined
  if (maximum && (!shift || !sameRow(shift.maximum, maximum))) return undefined
  const wider = widened(shift?.input ?? exponent, x, axis, facts)
  if (!wider) return undefined
  const added = both(wider, meaningOf(denominator.extras, shift, facts))
  return { axis, nodes: [...(shift?.nodes ?? []), exp, denominator.sum, log], added }
}

/** `Log(Exp(L) + c)`, where L is the logarithm of the sum itself. */
function exponentUnderLog(log: Node, x: Value, facts: Facts): LogSum | undefined {
  const add = peelRow(log.input(0))?.producer
  if (add?.op !== 'Add') return undefined
  for (const port of [0, 1]) {
    const exp = peelRow(add.input(port))?.producer
    const other = add.input(1 - port)
    const inner = exp?.op === 'Exp' && exp.input(0) ? logarithmOfSum(exp.input(0) as Value, x, facts) : undefined
    if (exp && other && inner) {
      const added = both(inner.added, meaningOf([other], undefined, facts))
      return { axis: inner.axis, nodes: [...inner.nodes, exp, add, log], added }
    }
  }
  return undefined
}

/** What y has beside x: nothing, or an appended column, whose logit is a sink. `undefined` when y is not made of x. */
function widened(y: Value, x: Value, axis: number | undefined, facts: Facts): Added | undefined {
  const [wide, scores] = [peel(y), peel(x)]
  if (wide === scores) return { sink: { kind: 'none' } }
  const column = wide && axis !== undefined ? columnOf(wide, axis, facts) : undefined
  const [append, ...more] = column?.appended ?? []
  if (!column || !append || more.length > 0 || wide?.producer !== append) return undefined
  const before = append.input(append.op === 'Concat' && column.side === 'first' ? append.inputs.length - 1 : 0)
  if (peel(before) !== scores) return undefined
  if (column.value === 'unknown') return unknownSink
  return { sink: isHidden(column.value) ? { kind: 'none' } : columnSink(column) }
}

/** Two sinks in one denominator are more than this program reads. */
function both(a: Added, b: Added): Added {
  const [first, second] = [a, b].filter(({ sink, problem }) => sink.kind !== 'none' || problem !== undefined)
  if (!first) return { sink: { kind: 'none' } }
  return second ? { sink: { kind: 'none' }, problem: 'unknown-denominator' } : first
}
