import { annotate } from '../src/ir/index.ts'
import { definePass, equivalent, isHopfield, lowerHopfield, SharedValues } from '../src/rewrite/index.ts'

/**
 * Replaces every HopfieldAttention node by the operator its form names: GroupQueryAttention with its own sink, Attention or
 * MultiHeadAttention with a zero key, or a model-local function that spells the node out.
 */
export const lowerHopfieldAttention = definePass({
  name: 'lower-hopfield-attention',
  stage: 'lower',
  summary: 'Spell HopfieldAttention with the fused operator of its form.',
  effect: equivalent,
  run(model, { report, target, facts }) {
    const shared = new SharedValues()
    let lowered = 0
    for (const graph of [...model.graphs()]) {
      for (const node of [...graph.nodes()]) {
        const form = isHopfield(node) ? node.string('form') : undefined
        if (form === undefined) continue
        const sink = node.input(4)?.initializer?.toNumbers() ?? [0]
        const made = lowerHopfield(node, facts, shared)
        annotate(made, { form, sink: sink.join(',') })
        const conditions = target.target.forms.find((spec) => spec.form === form)?.conditions
        const reason = `"${made.label}" is a ${made.op}`
        if (conditions?.since !== undefined) report.require({ runtime: conditions.since, reason })
        if (conditions?.providers) report.require({ provider: target.provider, reason })
        lowered++
      }
    }
    return lowered
  },
})
