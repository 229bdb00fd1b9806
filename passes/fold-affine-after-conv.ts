import type { Node, Value } from '../src/ir/index.ts'
import type { AffineStep } from '../src/rewrite/index.ts'
import {
  affineStep,
  Convolution,
  composeSteps,
  definePass,
  equivalent,
  fits,
  removeDead,
} from '../src/rewrite/index.ts'

/**
 * Folds what is affine per channel behind a Conv or ConvTranspose into its weight and bias: Add, Sub, Mul and Div by
 * constants, and BatchNormalization, as many as stand in a row.
 *
 * With `y = a * (W x + b) + c` the weight becomes `a W` (per output channel) and the bias `a b + c`. The convolution takes
 * over the name of the last result; a weight that others read too is left alone.
 */
export const foldAffineAfterConv = definePass({
  name: 'fold-affine-after-conv',
  stage: 'adapt',
  when: 'optimize',
  summary: 'Fold scalars, scales per channel and BatchNormalization after a Conv into it.',
  effect: equivalent,
  run(model) {
    let changed = 0
    for (const graph of model.graphs()) for (const node of graph.nodes()) if (fold(node)) changed++
    return changed
  },
})

function fold(node: Node): boolean {
  const conv = Convolution.of(node)
  const output = node.output()
  if (!conv || !output) return false
  const steps = stepsBehind(output, conv.rank)
  const affine = composeSteps(steps)
  const last = steps.at(-1)
  if (!last || !fits(affine, conv.outputChannels)) return false
  if (!conv.ownsWeight && affine.scale.some((s) => s !== 1)) return false
  conv.scaleOutput(affine)
  last.node.setOutput(0, undefined)
  node.setOutput(0, last.output)
  removeDead(steps.map((step) => step.node))
  node.graph.removeValue(output)
  return true
}

/** The affine steps in a row from a value on, each the only reader of what is before it. */
function stepsBehind(output: Value, rank: number): AffineStep[] {
  const steps: AffineStep[] = []
  for (let value = output; ; ) {
    const [use, ...others] = value.uses
    if (!use || others.length > 0 || value.outputUses > 0 || use.node.graph !== output.graph) return steps
    const step = affineStep(use.node, use.index, rank)
    if (!step) return steps
    steps.push(step)
    value = step.output
  }
}
