import { changesMaths, convertInPlace, definePass, SharedValues } from '../src/rewrite/index.ts'

const operators = new Set(['com.microsoft::GroupQueryAttention', 'com.microsoft::PagedAttention'])

/**
 * Turns on the sink that GroupQueryAttention and PagedAttention have themselves: `smooth_softmax` for 0, `head_sink` for
 * any other. Learned sinks are left alone.
 */
export const setSmoothSoftmax = definePass({
  name: 'set-smooth-softmax',
  stage: 'hopfield',
  summary: 'Turn on the sink of fused operators that have one.',
  effect: changesMaths,
  run(_model, context) {
    const shared = new SharedValues()
    const sites = context.sites.filter((site) => operators.has(site.node.op))
    return sites.filter((site) => convertInPlace(site, context, shared)).length
  },
})
