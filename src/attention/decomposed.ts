import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { reducedAxes } from '../ops/index.ts'
import type { Normaliser } from './normaliser.ts'
import { difference, negated, peel, peelRow, pick } from './peel.ts'
import type { Shift } from './shift.ts'
import { hasForeignShift, maximumShift } from './shift.ts'
import { sinkOfNumbers } from './sink.ts'
import type { Reason, Sink } from './site.ts'

/** A sum of exponentials over one axis, with whatever is added to it. */
interface Denominator {
  /** The exponentials as they are summed. */
  readonly summed: Value
  readonly sum: Node
  readonly extras: readonly Value[]
}

/** What the terms added to the sum mean. */
type Added = { readonly sink: Sink; readonly problem?: Reason }

/** Largest constant in a denominator that only guards against a division by zero. */
const largestEpsilon = 1e-3

/** Softmax spelled with Exp: a quotient, a product with a reciprocal, or Exp of a difference of logarithms. */
export function decomposedSoftmax(node: Node, facts: Facts): Normaliser | undefined {
  if (node.op === 'Exp') return exponentOfLog(node, facts)
  const parts = node.op === 'Div' ? { top: node.input(0), bottom: node.input(1) } : reciprocalProduct(node, facts)
  return parts?.top && parts.bottom ? quotient(node, parts.top, parts.bottom, facts) : undefined
}

/** `a * (1 / b)`, with the second factor a Reciprocal, a Div or a Pow. */
function reciprocalProduct(node: Node, facts: Facts): { top: Value; bottom: Value } | undefined {
  for (const port of [0, 1]) {
    const inverse = peelRow(node.input(port))?.producer
    const top = node.input(1 - port)
    const bottom =
      inverse?.op === 'Reciprocal'
        ? inverse.input(0)
        : inverse?.op === 'Div' && facts.scalar(inverse.input(0)) === 1
          ? inverse.input(1)
          : inverse?.op === 'Pow' && facts.scalar(inverse.input(1)) === -1
            ? inverse.input(0)
            : undefined
    if (top && bottom) return { top, bottom }
  }
  return undefined
}

function quotient(node: Node, top: Value, bottom: Value, facts: Facts): Normaliser | undefined {
  const denominator = denominatorAt(bottom, facts)
  const numerator = peel(top)
  if (!denominator || !numerator || peel(denominator.summed) !== numerator) return undefined
  const exp = numerator.producer
  const exponential = exp?.op === 'Exp' ? exp : maskedExponential(numerator)
  const exponent = exponential?.input(0)
  const output = node.output()
  if (!exponential || !exponent || !output) return undefined
  const axis = summedAxis(denominator, facts)
  const shift = maximumShift(exponent, axis, facts)
  const added = meaningOf(denominator.extras, shift, facts)
  const masked = exponential !== exp
  const foreign = hasForeignShift(shift?.input ?? exponent, facts)
  return {
    node,
    nodes: [...(shift?.nodes ?? []), exponential, denominator.sum, node],
    spelling: added.sink.kind === 'none' ? 'exp-sum-div' : 'softmax1-primitives',
    input: shift?.input ?? exponent,
    output,
    axis,
    alsoAxes: [],
    sink: added.sink,
    problem: added.problem ?? (masked ? 'masked-exponentials' : foreign ? 'unknown-shift' : undefined),
  }
}

/** Exponentials that are masked after Exp: `Exp(x) * mask` or `Where(mask, Exp(x), 0)`. */
function maskedExponential(value: Value): Node | undefined {
  const node = value.producer
  if (node?.op !== 'Mul' && node?.op !== 'Where') return undefined
  return node.inputs.map((input) => peel(input)?.producer).find((producer) => producer?.op === 'Exp')
}

function denominatorAt(value: Value, facts: Facts): Denominator | undefined {
  const extras: Value[] = []
  const open = [value]
  let sum: Node | undefined
  for (let term = open.pop(); term; term = open.pop()) {
    const node = peelRow(term)?.producer
    if (node?.op === 'Add' || node?.op === 'Sum') open.push(...node.inputs.filter((v) => v !== undefined))
    else if (!sum && (node?.op === 'ReduceSum' || node?.op === 'ReduceL1')) sum = node
    else if (
      (node?.op === 'Clip' && isFloor(node, facts)) ||
      (node?.op === 'Max' && pick(node, (v) => isEpsilon(v, facts)))
    )
      open.push(...node.inputs.slice(0, node.op === 'Clip' ? 1 : 2).filter((v) => v !== undefined))
    else extras.push(term)
  }
  const summed = sum?.input(0)
  return sum && summed ? { summed, sum, extras } : undefined
}

/** Clip that only keeps a denominator off zero. */
function isFloor(node: Node, facts: Facts): boolean {
  const low = node.input(1) ? facts.scalar(node.input(1)) : node.float('min')
  return (
    node.input(2) === undefined && !node.attributes.has('max') && low !== undefined && Math.abs(low) <= largestEpsilon
  )
}

function isEpsilon(value: Value, facts: Facts): boolean {
  const numbers = facts.numbers(value)
  return numbers?.every((x) => Math.abs(x) <= largestEpsilon) ?? false
}

function summedAxis({ sum }: Denominator, facts: Facts): number | undefined {
  const axes = reducedAxes(sum, facts)
  return axes?.length === 1 ? axes[0] : undefined
}

/**
 * What is added to `Σ exp(x - m)`: nothing (softmax), `exp(s - m)` (sink s), or, without a shift, `exp(s)`.
 * A plain 1 beside a shifted sum is GERM's variant, which is not shift-invariant: it is no Softmax1.
 */
function meaningOf(extras: readonly Value[], shift: Shift | undefined, facts: Facts): Added {
  const terms = extras.filter((v) => !isEpsilon(v, facts))
  const [term, ...more] = terms
  if (!term) return { sink: { kind: 'none' } }
  if (more.length > 0) return { sink: { kind: 'none' }, problem: 'unknown-denominator' }
  const numbers = sinkNumbers(peelRow(term), facts)
  if (numbers?.every((x) => x > 0)) {
    if (shift)
      return {
        sink: { kind: 'none' },
        problem: numbers.every((x) => x === 1) ? 'unshifted-one' : 'unknown-denominator',
      }
    return { sink: sinkOfNumbers(numbers.map(Math.log)) }
  }
  const exp = peelRow(term)?.producer
  if (exp?.op !== 'Exp' && exp?.op !== 'Reciprocal') return { sink: { kind: 'none' }, problem: 'unknown-denominator' }
  const exponent = exp.op === 'Reciprocal' ? undefined : exp.input(0)
  if (exp.op === 'Reciprocal') {
    const inner = peelRow(exp.input(0))?.producer
    const matches = shift && inner?.op === 'Exp' && sameRow(inner.input(0), shift.maximum)
    return matches ? { sink: { kind: 'zero' } } : { sink: { kind: 'none' }, problem: 'unknown-denominator' }
  }
  if (!shift) return exponent && facts.isConstant(exponent) ? { sink: { kind: 'learned' } } : unknownSink
  if (sameRow(negated(exponent, facts), shift.maximum)) return { sink: { kind: 'zero' } }
  const parts = difference(exponent, facts)
  if (!parts || !sameRow(parts.right, shift.maximum)) return { sink: { kind: 'none' }, problem: 'unknown-denominator' }
  const sink = sinkNumbers(parts.left, facts)
  if (sink) return { sink: sinkOfNumbers(sink) }
  return facts.isConstant(parts.left) ? { sink: { kind: 'learned' } } : unknownSink
}

const unknownSink: Added = { sink: { kind: 'none' }, problem: 'unknown-sink' }

/** One number, or one for each head: a constant of several numbers must lie along the third axis from the end. */
function sinkNumbers(value: Value | undefined, facts: Facts): number[] | undefined {
  const numbers = facts.numbers(value)
  if (!numbers || !value || numbers.length === 1) return numbers
  const shape = facts.shape(value)
  return shape?.at(-3) === numbers.length ? numbers : undefined
}

function sameRow(a: Value | undefined, b: Value): boolean {
  return a !== undefined && peelRow(a) === peelRow(b)
}

/** `Exp(LogSoftmax(x))` and `Exp(x - L)` where L is the logarithm of a sum of exponentials of x. */
function exponentOfLog(node: Node, facts: Facts): Normaliser | undefined {
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
    if (peel(node.input(0)) !== peel(x)) return undefined
    return { axis: axes?.length === 1 ? axes[0] : undefined, nodes: [node], added: { sink: { kind: 'none' } } }
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
  const exp = denominator && peel(denominator.summed)?.producer
  const exponent = exp?.op === 'Exp' ? exp.input(0) : undefined
  if (!denominator || !exp || !exponent) return undefined
  const shift = maximum ? maximumShift(exponent, summedAxis(denominator, facts), facts) : undefined
  if (maximum && (!shift || !sameRow(shift.maximum, maximum))) return undefined
  if (peel(shift?.input ?? exponent) !== peel(x)) return undefined
  const added = meaningOf(denominator.extras, shift, facts)
  return { axis: summedAxis(denominator, facts), nodes: [...(shift?.nodes ?? []), exp, denominator.sum, log], added }
}
