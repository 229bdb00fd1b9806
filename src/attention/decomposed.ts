import type { Node, Value } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import type { Added, Denominator } from './denominator.ts'
import { denominatorAt, meaningOf, summedAxis } from './denominator.ts'
import { lateDivision } from './late.ts'
import { exponentOfLog } from './logarithm.ts'
import type { Normaliser } from './normaliser.ts'
import { peel, peelRow } from './peel.ts'
import { hasForeignShift, maximumShift } from './shift.ts'

/** Softmax spelled with Exp: a quotient, a product with a reciprocal, or Exp of a difference of logarithms. */
export function decomposedSoftmax(node: Node, facts: Facts): Normaliser | undefined {
  if (node.op === 'Exp') return exponentOfLog(node, facts)
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
  const exponential = exp?.op === 'Exp' ? exp : summed && maskedExponential(summed)
  const exponent = exponential?.input(0)
  if (!exponential || !exponent) return undefined
  const axis = summedAxis(denominator, facts)
  const shift = maximumShift(exponent, axis, facts)
  const { sink, problem } = meaningOf(denominator.extras, shift, facts)
  const masked = exponential !== exp ? 'masked-exponentials' : undefined
  const foreign = hasForeignShift(shift?.input ?? exponent, facts) ? 'unknown-shift' : undefined
  const nodes = [...(shift?.nodes ?? []), exponential, denominator.sum]
  return { nodes, input: shift?.input ?? exponent, axis, sink, problem: problem ?? masked ?? foreign }
}

/** Exponentials that are masked after Exp: `Exp(x) * mask` or `Where(mask, Exp(x), 0)`. */
function maskedExponential(value: Value): Node | undefined {
  const node = value.producer
  if (node?.op !== 'Mul' && node?.op !== 'Where') return undefined
  return node.inputs.map((input) => peel(input)?.producer).find((producer) => producer?.op === 'Exp')
}
