import type { Site } from '../src/attention/index.ts'
import { findSites } from '../src/attention/index.ts'
import type { Node, Value } from '../src/ir/index.ts'
import { annotationOf } from '../src/ir/index.ts'
import { definePass, equivalent, insertSoftmax1, removeDead } from '../src/rewrite/index.ts'

/**
 * Turns the spellings of Softmax1 that others export into one Softmax1 node, so that they are lowered like our own:
 *
 * 1. exp(x - m) / (exp(s - m) + Σ exp(x - m)), shifted or not, and softmax(x) · sigmoid(logsumexp(x) - s): the node takes x.
 * 2. a column of s appended to x, softmax, and the column cut off: the node takes x and gives what the cut gave.
 *
 * A zero key, a fused operator with a sink, and what this program wrote stay as they are.
 */
export const recognizeSoftmax1 = definePass({
  name: 'recognize-softmax1',
  stage: 'recognize',
  summary: 'Turn every spelling of Softmax1 into one node.',
  effect: equivalent,
  run(model, { policies, report }) {
    let changed = 0
    for (const site of findSites(model, policies)) {
      if (site.verdict.kind !== 'already-softmax1' || annotationOf(site.node, 'form') !== undefined) continue
      const sink = site.sink.kind === 'zero' ? 0 : site.sink.kind === 'constant' ? shared(site.sink.value) : undefined
      if (sink === undefined || (typeof sink !== 'number' && !site.heads)) continue
      const whole = direct.has(site.spelling) ? site : withoutColumn(site)
      if (!whole) continue
      report.add(whole)
      insertSoftmax1(whole, sink)
      removeDead([...site.nodes, ...whole.nodes])
      changed++
    }
    return changed
  },
})

const direct = new Set(['softmax1-primitives', 'softmax-times-sigmoid'])

function shared(values: readonly number[]): number | readonly number[] {
  return values.every((value) => value === values[0]) ? (values[0] as number) : values
}

/** The site with the appended column left out at both ends, when nothing but the cut reads the probabilities. */
function withoutColumn(site: Site): Site | undefined {
  if (site.spelling !== 'softmax1-pad-slice') return undefined
  const append = site.input?.producer
  const [cut, ...others] = site.output.consumers
  const output = cut?.output()
  if (!append || !cut || others.length > 0 || site.output.outputUses > 0 || cut.op !== 'Slice' || !output)
    return undefined
  const input = scoresOf(append)
  return input && { ...site, input, output, node: cut, nodes: [cut, ...site.nodes, append] }
}

function scoresOf(append: Node): Value | undefined {
  if (append.op === 'Pad') return append.input(0)
  // The column may stand first or last: the scores are the operand that is computed from more than constants and shapes.
  return append.op === 'Concat' && append.inputs.length === 2
    ? append.inputs.find((value) => value?.producer && !columnMakers.has(value.producer.opType))
    : undefined
}

const columnMakers = new Set(['Constant', 'ConstantOfShape', 'Expand', 'Tile'])
