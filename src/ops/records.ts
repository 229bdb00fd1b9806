import type { Node } from '../ir/index.ts'
import type { AxisRule } from './axes.ts'
import type { Facts } from './facts.ts'
import type { Size } from './size.ts'
import { table } from './table.ts'

/**
 * What walks may pass an operator. Each class also belongs to the walks of the classes above it:
 *
 * - `layout`: moves elements, changes no number.
 * - `arithmetic`: what stands between a score contraction and its softmax: scale, mask, bias, cap, quantization.
 * - `normalise`: normalisation over other axes; it may stand between probabilities and values.
 * - `feature`: anything else that keeps its axes (activations); followed only to find where an axis comes from.
 */
type Passage = 'layout' | 'arithmetic' | 'normalise' | 'feature'

/** The facts about one operator. A spelling the walk does not know yet is one more row in `table.ts`. */
export interface OpRecord {
  readonly passage?: Passage
  /** How axes move between inputs and outputs. */
  readonly axes?: AxisRule
  /** Whether swapping inputs 0 and 1 changes nothing. */
  readonly commutes?: boolean
  /** `always`: the result depends on no data, whatever the inputs (a size, a constant). */
  readonly constant?: 'always'
  readonly shape?: (node: Node, facts: Facts, output: number) => readonly Size[] | undefined
  /** Elements of the (flattened) result, for the small tensors that carry sizes, axes and scales. */
  readonly content?: (node: Node, facts: Facts) => readonly Size[] | undefined
}

/** The record of a node's operator; `undefined` when nothing is known about it. */
export function recordOf(node: Node): OpRecord | undefined {
  return table.get(node.op)
}
