import type { Node, Value } from '../src/ir/index.ts'
import { Tensor } from '../src/ir/index.ts'
import { constantTensor, Facts } from '../src/ops/index.ts'
import type { Affine, AffineStep } from '../src/rewrite/index.ts'
import {
  affineStep,
  Convolution,
  composeSteps,
  definePass,
  equivalent,
  fits,
  isBounded,
  Ops,
  opsetOf,
  removeDead,
} from '../src/rewrite/index.ts'

/**
 * Folds what is affine per channel in front of a Conv into its weight and bias: `W (a x + b) = (W a) x + W b`.
 *
 * Zero padding does not pass through a shift, and neither do the borders of ConvTranspose: there `a x + b` becomes
 * `a (x + b / a)`, `a` goes into the weight and one Add stays.
 */
export const foldAffineBeforeConv = definePass({
  name: 'fold-affine-before-conv',
  stage: 'adapt',
  when: 'optimize',
  summary: 'Fold scalars and scales per channel in front of a Conv into it.',
  effect: equivalent,
  run(model) {
    const facts = new Facts()
    let changed = 0
    for (const graph of model.graphs()) for (const node of graph.nodes()) if (fold(node, facts)) changed++
    return changed
  },
})

function fold(node: Node, facts: Facts): boolean {
  const conv = Convolution.of(node)
  const input = node.input(0)
  if (!conv?.ownsWeight || !input) return false
  const steps = stepsBefore(input, conv, facts)
  const [first] = steps
  if (!first) return false
  const affine = composeSteps(steps)
  const keepsShift = (conv.isPadded || conv.isTransposed) && affine.shift.some((s) => s !== 0)
  const rest = keepsShift ? leftover(affine) : undefined
  if (keepsShift && !rest) return false
  conv.scaleInput(rest ? { scale: affine.scale, shift: [0] } : affine)
  node.setInput(0, rest ? shifted(first.input, rest, node) : first.input)
  removeDead(steps.map((step) => step.node))
  return true
}

/** The affine steps in a row that end at a value, each read by nothing but the next. */
function stepsBefore(input: Value, conv: Convolution, facts: Facts): AffineStep[] {
  const steps: AffineStep[] = []
  for (let value = input; ; ) {
    const { producer } = value
    if (!producer || value.uses.length !== 1 || value.outputUses > 0 || value.graph !== conv.node.graph) return steps
    const port = producer.inputs.findIndex((other) => constantTensor(other) === undefined)
    const step = affineStep(producer, port, conv.rank)
    if (!step || !keepsShape(step, conv, facts)) return steps
    steps.unshift(step)
    value = step.input
  }
}

/** Whether a step gives the shape of its input: a constant may make a tensor larger. */
function keepsShape({ input, affine, rank }: AffineStep, conv: Convolution, facts: Facts): boolean {
  const perChannel = affine.scale.length > 1 || affine.shift.length > 1
  const shape = facts.shape(input)
  if (perChannel) return shape?.[1] === conv.inputChannels && fits(affine, conv.inputChannels)
  return rank <= 1 || (shape !== undefined && rank <= shape.length)
}

/** `b / a` where `a` can be folded and the shift cannot; `undefined` when nothing would be won or it is not finite. */
function leftover({ scale, shift }: Affine): readonly number[] | undefined {
  const length = Math.max(scale.length, shift.length)
  const rest = Array.from(
    { length },
    (_, i) => (shift[i % shift.length] as number) / (scale[i % scale.length] as number),
  )
  return scale.some((s) => s !== 1) && isBounded({ scale: rest, shift: [] }) ? rest : undefined
}

function shifted(x: Value, shift: readonly number[], node: Node): Value {
  const weight = constantTensor(node.input(1)) as Tensor
  const dims = shift.length === 1 ? [] : [1, shift.length, ...weight.dims.slice(2).map(() => 1)]
  const ops = new Ops({ graph: node.graph, before: node, name: x.name, opset: opsetOf(node.graph) })
  return ops.Add(x, ops.constant(Tensor.of(weight.dtype, dims, shift)))
}
