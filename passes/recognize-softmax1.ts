import type { Site } from '../src/attention/index.ts'
import type { Node, Value } from '../src/ir/index.ts'
import { annotationOf } from '../src/ir/index.ts'
import type { Facts } from '../src/ops/index.ts'
import { sliceBounds } from '../src/ops/index.ts'
import { definePass, equivalent, insertSoftmax1, removeDead } from '../src/rewrite/index.ts'

/**
 * Turns the spellings of Softmax1 that others export into one Softmax1 node, so that they are lowered like our own:
 *
 * 1. exp(x - m) / (exp(s - m) + Σ exp(x - m)), shifted or not, also divided after the product with values; exp(x - log(exp(s) +
 *    Σ exp(x))); softmax(x) · sigmoid(logsumexp(x) - s): the node takes x.
 * 2. a column of s appended to x, softmax, and the column cut off: the node takes x and gives what the cut gave.
 *
 * A zero key, a fused operator with a sink, and what this program wrote stay as they are.
 */
export const recognizeSoftmax1 = definePass({
  name: 'recognize-softmax1',
  stage: 'recognize',
  summary: 'Turn every spelling of Softmax1 into one node.',
  effect: equivalent,
  run(_model, { sites, facts, report }) {
    let changed = 0
    for (const site of sites) {
      if (site.verdict.kind !== 'already-softmax1' || annotationOf(site.node, 'form') !== undefined) continue
      const sink = site.sink.kind === 'zero' ? 0 : site.sink.kind === 'constant' ? shared(site.sink.value) : undefined
      if (sink === undefined || (typeof sink !== 'number' && !site.heads)) continue
      const whole = direct.has(site.spelling) ? site : withoutColumn(site, facts)
      if (!whole) continue
      report.add(whole)
      insertSoftmax1(whole, sink)
      removeDead([...site.nodes, ...whole.nodes])
      changed++
    }
    return changed
  },
})

const direct = new Set(['softmax1-primitives', 'softmax1-product-div', 'exp-minus-lse', 'softmax-times-sigmoid'])

function shared(values: readonly number[]): number | readonly number[] {
  return values.every((value) => value === values[0]) ? (values[0] as number) : values
}

/** The site with the appended column left out at both ends, when nothing but the cut of just that column reads the result. */
function withoutColumn(site: Site, facts: Facts): Site | undefined {
  if (site.spelling !== 'softmax1-pad-slice') return undefined
  const append = site.input?.producer
  const [cut, ...others] = site.output.consumers
  const output = cut?.output()
  if (!append || !cut || others.length > 0 || site.output.outputUses > 0 || cut.op !== 'Slice' || !output)
    return undefined
  const column = withoutAppended(append, site.axis, facts)
  if (!column || !cutsOff(cut, column.side, site.axis, facts)) return undefined
  return { ...site, input: column.scores, output, node: cut, nodes: [cut, ...site.nodes, append] }
}

/** The scores before one column was appended or prepended by Pad or Concat. */
function withoutAppended(
  append: Node,
  axis: number,
  facts: Facts,
): { scores: Value; side: 'first' | 'last' } | undefined {
  const [a, b] = append.inputs
  if (append.op === 'Pad' && a) {
    const pads = facts.ints(append, 'pads') ?? facts.numbers(b)
    const rank = (pads?.length ?? 0) / 2
    if (!pads || append.input(3) || pads.reduce((sum, pad) => sum + Math.abs(pad), 0) !== 1) return undefined
    return pads[2 * rank + axis] === 1
      ? { scores: a, side: 'last' }
      : pads[rank + axis] === 1
        ? { scores: a, side: 'first' }
        : undefined
  }
  if (append.op !== 'Concat' || append.inputs.length !== 2 || !a || !b) return undefined
  const ones = [facts.size(a, axis) === 1, facts.size(b, axis) === 1]
  return ones[0] === ones[1] ? undefined : ones[1] ? { scores: a, side: 'last' } : { scores: b, side: 'first' }
}

/** Whether a Slice drops exactly the first or the last element of an axis and nothing else. */
function cutsOff(cut: Node, side: 'first' | 'last', axis: number, facts: Facts): boolean {
  const [bound, ...more] = sliceBounds(cut, facts) ?? []
  const rank = cut.input(0) && facts.rank(cut.input(0) as Value)
  if (!bound || more.length > 0 || rank === undefined || bound.step !== 1) return false
  if (bound.axis !== axis && bound.axis !== axis + rank) return false
  const size = facts.size(cut.input(0) as Value, axis)
  const { start, end } = bound
  if (side === 'last') return start === 0 && (end === -1 || (typeof size === 'number' && end === size - 1))
  return start === 1 && ((typeof end === 'number' && end >= 2 ** 31 - 1) || (end !== undefined && end === size))
}
