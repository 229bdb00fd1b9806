import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import type { Added, Denominator } from './denominator.ts'
import { denominatorAt, meaningOf, summedAxis } from './denominator.ts'
import { exponentialAt } from './exponential.ts'
import { lateDivision } from './late.ts'
import { exponentOfLog } from './logarithm.ts'
import type { Normaliser } from './normaliser.ts'
import { peel, peelRow } from './peel.ts'
import { hasForeignShift, maximumShift } from './shift.ts'

/** Softmax spelled with Exp: a quotient, a product with a reciprocal, a norm, or Exp of a difference of logarithms. */
export function decomposedSoftmax(node: Node, facts: Facts): Normaliser | undefined {
  if (node.op === 'Exp') return exponentOfLog(node, facts)
  if (node.op === 'LpNormalization') return normalised(node, facts)
  const parts = node.op === 'Div' ? { top: node.input(0), bottom: node.input(1) } : reciprocalProduct(node, facts)
  if (!parts?.top || !parts.bottom) return undefined
  const denominator = denominatorAt(parts.bottom, facts)
  return denominator && (quotient(node, parts.top, denominator, facts) ?? late(node, parts.top, denominator, facts))
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

function quotient(node: Node, top: Value, denominator: Denominator, facts: Facts): Normaliser | undefined {
  const output = node.output()
  const beside = !denominator.transposed && peel(denominator.summed) === peel(top)
  const parts = beside ? exponentials(denominator, facts) : undefined
  if (!parts || !output) return undefined
  const { nodes, input, axis, sink, problem } = parts
  const spelling = sink.kind === 'none' ? 'exp-sum-div' : 'softmax1-primitives'
  return { node, nodes: [...nodes, node], spelling, input, output, axis, alsoAxes: [], sink, problem }
}

/** A division after the product with values: what takes the place of the exponentials are the probabilities. */
function late(node: Node, top: Value, denominator: Denominator, facts: Facts): Normaliser | undefined {
  const output = peel(denominator.summed)
  const parts = exponentials(denominator, facts)
  if (!parts || !output) return undefined
  const { input, axis, sink } = parts
  const division = lateDivision({ node, top, exponentials: output, axis }, facts)
  if (!division) return undefined
  const spelling = sink.kind === 'none' ? 'exp-product-div' : 'softmax1-product-div'
  const problem = division.certain ? parts.problem : 'late-division'
  const nodes = [...parts.nodes, ...division.nodes, node]
  return { node, nodes, spelling, input, output, axis, alsoAxes: [], sink, problem, context: top }
}

/** The exponentials that are summed: of what, over which axis, and what is added to them. */
function exponentials(
  denominator: Denominator,
  facts: Facts,
): (Added & { nodes: Node[]; input: Value; axis: number | undefined }) | undefined {
  const summed = peel(denominator.summed)
  const exp = summed?.producer
  const whole = exponentialAt(exp, facts) !== undefined
  const node = whole ? exp : summed && maskedExponential(summed, facts)
  const axis = summedAxis(denominator, facts)
  const parts = node && shiftedExponential(node, axis, facts)
  if (!parts) return undefined
  const { sink, problem } = meaningOf(denominator.extras, parts.shift, facts)
  const masked = whole ? undefined : 'masked-exponentials'
  const nodes = [...parts.nodes, denominator.sum]
  // Added to powers of another base, not even 1 is what it is beside powers of e.
  if (parts.otherBase) return { nodes, input: parts.input, axis, sink: { kind: 'none' }, problem: 'other-base' }
  return { nodes, input: parts.input, axis, sink, problem: problem ?? masked ?? parts.problem }
}

/** `LpNormalization<p = 1>(Exp(x))`: exponentials are their own absolute values. */
function normalised(node: Node, facts: Facts): Normaliser | undefined {
  const [top, output] = [node.input(0), node.output()]
  const exp = peel(top)?.producer
  if (!top || !output || !exp || facts.int(node, 'p') !== 1) return undefined
  const rank = facts.rank(top)
  const given = facts.int(node, 'axis') ?? -1
  const axis = given < 0 ? given : rank === undefined ? undefined : given - rank
  const parts = shiftedExponential(exp, axis, facts)
  if (!parts) return undefined
  const { nodes, input, problem } = parts
  const sink = { kind: 'none' } as const
  return {
    node,
    nodes: [...nodes, node],
    spelling: 'exp-norm',
    input,
    output,
    axis,
    alsoAxes: [],
    sink,
    problem: parts.otherBase ? 'other-base' : problem,
  }
}

/** What is exponentiated, without the shift by its maximum. */
function shiftedExponential(node: Node, axis: number | undefined, facts: Facts) {
  const exponential = exponentialAt(node, facts)
  if (!exponential) return undefined
  const shift = maximumShift(exponential.exponent, axis, facts)
  const input = shift?.input ?? exponential.exponent
  const problem = hasForeignShift(input, axis, facts) ? ('unknown-shift' as const) : undefined
  const { otherBase } = exponential
  return { nodes: [...(shift?.nodes ?? []), node], input, shift, problem, otherBase }
}

/** Exponentials that are masked after Exp: `Exp(x) * mask` or `Where(mask, Exp(x), 0)`. */
function maskedExponential(value: Value, facts: Facts): Node | undefined {
  const node = value.producer
  if (node?.op !== 'Mul' && node?.op !== 'Where') return undefined
  return node.inputs
    .map((input) => peel(input)?.producer)
    .find((producer) => exponentialAt(producer, facts) !== undefined)
}
