import { definePass, equivalent, planRaise } from '../src/rewrite/index.ts'

/**
 * Raises the default-domain opset of the model, nested graphs and functions included, to the one that was asked for, where it
 * is older: scales by channel need opset 13, blocks of them 21.
 *
 * All or nothing: an operator whose meaning would change leaves the whole model as it is, and the report names it.
 */
export const raiseOpset = definePass({
  name: 'raise-opset',
  stage: 'adapt',
  summary: 'Raise the opset where the quantized form of the model needs a newer one.',
  effect: equivalent,
  run(model, { opset, report }) {
    if (opset === undefined) return 0
    const { obstacles, apply } = planRaise(model, opset)
    const [first, ...others] = obstacles
    if (!first) return apply()
    const more = others.length === 0 ? '' : `, and ${others.length} more like it`
    const message = `the model cannot be raised to opset ${opset}: ${first.reason}${more}`
    report.warn('opset-not-raised', message, first.node === undefined ? {} : { node: first.node })
    return 0
  },
})
