import type { Node, Value } from '../src/ir/index.ts'
import { attr, dtypes } from '../src/ir/index.ts'
import { dtypeOf, Facts } from '../src/ops/index.ts'
import type { Affine, AffineStep } from '../src/rewrite/index.ts'
import { affineStep, composeSteps, definePass, equivalent, isOwn, opsetOf, removeDead } from '../src/rewrite/index.ts'

/**
 * Spells `clip(a x + b, 0, c) / c` as `HardSigmoid(x, alpha = a / c, beta = b / c)`, also where the division follows a
 * product with the clipped value: hard-swish, `x * clip(x + 3, 0, 6) / 6`, becomes HardSigmoid and one Mul.
 *
 * CONTRIBUTOR NOTES: the operator HardSwish (opset 14) wins nothing: ONNX Runtime 1.32 opens it into just these two, and
 * computes them inside the Conv before them.
 */
export const formHardSigmoid = definePass({
  name: 'form-hard-sigmoid',
  stage: 'adapt',
  when: 'optimize',
  summary: 'Spell hard-sigmoid and hard-swish with HardSigmoid.',
  effect: equivalent,
  run(model) {
    const facts = new Facts()
    let changed = 0
    for (const graph of model.graphs())
      for (const node of graph.nodes()) {
        const found = node.op === 'Clip' ? match(node, facts) : undefined
        if (!found) continue
        rewrite(found)
        changed++
      }
    return changed
  },
})

/** `clip(alpha x + beta, 0, 1)`, multiplied by `factor` where there is one. */
interface Match {
  readonly x: Value
  readonly alpha: number
  readonly beta: number
  readonly clip: Node
  /** The product of the clipped value with another, and the port of the other. */
  readonly product: { readonly node: Node; readonly port: number } | undefined
  /** The division by the upper bound. */
  readonly division: AffineStep
}

function match(clip: Node, facts: Facts): Match | undefined {
  const upper = bound(clip, 'max', 2, facts)
  const [input, output] = [clip.input(0), clip.output()]
  if (bound(clip, 'min', 1, facts) !== 0 || !upper || upper < 0 || !input || !output) return undefined
  const { x, affine } = argument(input, facts)
  if (dtypeOf(x) !== dtypes.float || affine.shift[0] === 0) return undefined
  const product = productOf(output, facts)
  const division = stepBehind(product?.node.output() ?? output, facts)
  if (!division || !isOne((division.affine.scale[0] as number) * upper) || division.affine.shift[0] !== 0)
    return undefined
  const [scale = 1, shift = 0] = [affine.scale[0], affine.shift[0]]
  return { x, alpha: scale / upper, beta: shift / upper, clip, product, division }
}

/** Bound of a Clip: an attribute before opset 11, an input since. */
function bound(clip: Node, name: string, port: number, facts: Facts): number | undefined {
  return opsetOf(clip.graph) < 11 ? clip.float(name) : facts.scalar(clip.input(port))
}

/** What the clipped value is a scaled and shifted one of. */
function argument(input: Value, facts: Facts): { x: Value; affine: Affine } {
  const steps: AffineStep[] = []
  for (let value = input; isOwn(value) && value.producer && value.producer.graph === input.graph; ) {
    const { producer } = value
    const step = [0, 1].map((port) => scalarStep(producer, port, facts)).find((found) => found)
    if (!step) break
    steps.unshift(step)
    value = step.input
  }
  return { x: steps[0]?.input ?? input, affine: composeSteps(steps) }
}

function productOf(value: Value, facts: Facts): Match['product'] {
  const use = onlyUse(value)
  if (use?.node.op !== 'Mul' || scalarStep(use.node, use.index, facts)) return undefined
  return { node: use.node, port: 1 - use.index }
}

function stepBehind(value: Value, facts: Facts): AffineStep | undefined {
  const use = onlyUse(value)
  return use && scalarStep(use.node, use.index, facts)
}

function onlyUse(value: Value) {
  const [use] = value.uses
  return isOwn(value) && use?.node.graph === value.graph ? use : undefined
}

/** A step with one number for all elements that keeps the rank. */
function scalarStep(node: Node, port: number, facts: Facts): AffineStep | undefined {
  const input = node.input(port)
  const rank = input && facts.rank(input)
  const step = affineStep(node, port, rank ?? 0)
  return step && step.affine.scale.length === 1 && step.affine.shift.length === 1 ? step : undefined
}

/** Whether a factor is 1 but for the rounding of constants in single precision. */
function isOne(factor: number): boolean {
  return Math.abs(factor - 1) < 2 ** -22
}

function rewrite({ x, alpha, beta, clip, product, division }: Match): void {
  const { node: divide, output } = division
  const attributes = new Map([
    ['alpha', attr.float(Math.fround(alpha))],
    ['beta', attr.float(Math.fround(beta))],
  ])
  divide.setOutput(0, undefined)
  const result = product ? clip.graph.newValue(`${output.name}/HardSigmoid`) : output
  clip.graph.insert({ name: clip.name, opType: 'HardSigmoid', attributes }, [x], [result], clip)
  if (product) retarget(product, result, division)
  removeDead([divide, clip])
}

/** Makes a product multiply with `factor` and give what its division gave. */
function retarget({ node, port }: NonNullable<Match['product']>, factor: Value, division: AffineStep): void {
  const { node: divide, input, output } = division
  node.setInput(1 - port, factor)
  node.setOutput(0, output)
  removeDead([divide])
  node.graph.removeValue(input)
}
