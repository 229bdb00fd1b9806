import { dtypes } from '../src/ir/index.ts'
import { approximate, definePass, lowerToHalf } from '../src/rewrite/index.ts'

/**
 * Lowers what is computed in single precision to half precision: types in the graph, as strongly typed builders want them.
 *
 * Sums of many elements (the statistics of norms, decomposed softmax), powers, exponentials and positions stay in single
 * precision between casts; graph inputs and outputs keep their types; numbers beyond the range become the largest there is.
 */
export const lowerPrecision = definePass({
  name: 'lower-precision',
  stage: 'lower',
  summary: 'Compute in float16 or bfloat16 where half precision is enough.',
  effect: approximate(0.05),
  run(model, { precision }) {
    return precision === undefined ? 0 : lowerToHalf(model, dtypes[precision])
  },
})
