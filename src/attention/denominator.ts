import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { reducedAxes } from '../ops/index.ts'
import { difference, negated, peelRow, pick } from './peel.ts'
import type { Shift } from './shift.ts'
import { sinkOfNumbers } from './sink.ts'
import type { Reason, Sink } from './site.ts'

/** A sum of exponentials over one axis, with whatever is added to it. */
export interface Denominator {
  /** The exponentials as they are summed. */
  readonly summed: Value
  readonly sum: Node
  readonly extras: readonly Value[]
  /** Whether a Transpose stands between, so that the sums need not lie beside their exponentials. */
  readonly transposed: boolean
  /** Whether what is added is nothing, or only keeps the sum off zero. */
  readonly guarded: boolean
}

/** What the terms added to the sum mean. */
export type Added = { readonly sink: Sink; readonly problem?: Reason | undefined }

/** Largest constant in a denominator that only guards against a division by zero. */
const largestEpsilon = 1e-3

/** Takes a sum apart: one sum of exponentials, and the other terms. */
export function denominatorAt(value: Value, facts: Facts): Denominator | undefined {
  const extras: Value[] = []
  const open = [value]
  let sum: Node | undefined
  let transposed = false
  for (let term = open.pop(); term; term = open.pop()) {
    const node = peelRow(term)?.producer
    if (node?.op === 'Add' || node?.op === 'Sum') open.push(...node.inputs.filter((v) => v !== undefined))
    else if (node?.op === 'Transpose') {
      transposed = true
      open.push(...node.inputs.filter((v) => v !== undefined))
    } else if (!sum && (node?.op === 'ReduceSum' || node?.op === 'ReduceL1')) sum = node
    else if (
      (node?.op === 'Clip' && isFloor(node, facts)) ||
      (node?.op === 'Max' && pick(node, (v) => isEpsilon(v, facts)))
    )
      open.push(...node.inputs.slice(0, node.op === 'Clip' ? 1 : 2).filter((v) => v !== undefined))
    else extras.push(term)
  }
  const summed = sum?.input(0)
  return sum && summed
    ? { summed, sum, extras, transposed, guarded: extras.every((v) => isEpsilon(v, facts)) }
    : undefined
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

/** The one axis that is summed. */
export function summedAxis({ sum }: Denominator, facts: Facts): number | undefined {
  const axes = reducedAxes(sum, facts)
  return axes?.length === 1 ? axes[0] : undefined
}

/**
 * What is added to `Σ exp(x - m)`: nothing (softmax), `exp(s - m)` (sink s), or, without a shift, `exp(s)`.
 * A plain 1 beside a shifted sum is GERM's variant, which is not shift-invariant: it is no Softmax1.
 */
export function meaningOf(extras: readonly Value[], shift: Shift | undefined, facts: Facts): Added {
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

export const unknownSink: Added = { sink: { kind: 'none' }, problem: 'unknown-sink' }

/** One number, or one for each head: a constant of several numbers must lie along the third axis from the end. */
function sinkNumbers(value: Value | undefined, facts: Facts): number[] | undefined {
  const numbers = facts.numbers(value)
  if (!numbers || !value || numbers.length === 0) return numbers
  if (numbers.every((x) => x === numbers[0])) return numbers.slice(0, 1)
  const shape = facts.shape(value)
  return shape?.at(-3) === numbers.length ? numbers : undefined
}

/** Whether two values hold the same number a row, however it is spread. */
export function sameRow(a: Value | undefined, b: Value): boolean {
  return a !== undefined && peelRow(a) === peelRow(b)
}
