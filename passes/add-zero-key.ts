import { changesMaths, convertInPlace, definePass, SharedValues } from '../src/rewrite/index.ts'

const operators = new Set(['Attention', 'com.microsoft::MultiHeadAttention'])

/**
 * Puts a zero key and a zero value in front of the keys and values of fused attention operators, masks and caches
 * included: softmax over one more logit, the sink, is Softmax1.
 */
export const addZeroKey = definePass({
  name: 'add-zero-key',
  stage: 'hopfield',
  summary: 'Give fused attention operators a zero key and a zero value.',
  effect: changesMaths,
  run(_model, context) {
    const shared = new SharedValues()
    const sites = context.sites.filter((site) => operators.has(site.node.op))
    return sites.filter((site) => convertInPlace(site, context, shared)).length
  },
})
