import type { Block, NoBlock, Site } from '../src/attention/index.ts'
import { blockOf } from '../src/attention/index.ts'
import type { Facts } from '../src/ops/index.ts'
import { dtypeOf, functionOf } from '../src/ops/index.ts'
import type { PassContext } from '../src/rewrite/index.ts'
import {
  blockForms,
  definePass,
  equivalent,
  formBlock,
  headsInside,
  isSoftmax1,
  isStepwise,
  operatorOf,
  opsetOf,
  partsOfBlock,
  SharedValues,
  sinkOf,
} from '../src/rewrite/index.ts'
import type { FormSpec } from '../src/targets/index.ts'
import { candidates, fusedObjection, objection } from '../src/targets/index.ts'

/**
 * Replaces a Softmax1 node and everything from q, k and v to the context by one HopfieldAttention node, where the first form of
 * the target whose conditions hold is one operator for all of it. Other sites stay as they are.
 */
export const formHopfieldBlocks = definePass({
  name: 'form-hopfield-blocks',
  stage: 'hopfield',
  summary: 'Make one node of a whole attention step where the target has one operator for it.',
  effect: equivalent,
  run(model, context) {
    const { facts } = context
    const shared = new SharedValues()
    // In the order of the nodes that are replaced, so that what blocks share stands before all of them.
    const order = new Map([...model.graphs()].flatMap((graph) => [...graph.nodes()]).map((node, i) => [node, i]))
    const place = (site: Site): number => order.get(site.values[0]?.node ?? site.node) ?? 0
    const sites = context.sites.filter((site) => isSoftmax1(site.node)).sort((a, b) => place(a) - place(b))
    return sites.filter((site) => form(site, facts, shared, context)).length
  },
})

function form(site: Site, facts: Facts, shared: SharedValues, context: PassContext): boolean {
  const entry = context.report.add(site)
  const block = blockOf(site, facts)
  for (const spec of candidates(context.target, context.form)) {
    // What comes after a form for any site is never reached.
    if (!blockForms.has(spec.form)) return false
    const refused = refusal(site, block, spec, facts, context)
    if (refused === undefined) {
      const node = formBlock(site, block as Block, spec.form, facts, shared)
      const output = node.output()
      if (output) context.report.rekey(site.output, output)
      entry.form = spec.form
      entry.formReason = 'queries, keys, values and mask are in reach'
      return true
    }
    entry.rejectedForms.push({ form: spec.form, reason: refused })
  }
  return false
}

/** Why the form cannot be used for the site. */
function refusal(
  site: Site,
  block: Block | NoBlock,
  spec: FormSpec,
  facts: Facts,
  context: PassContext,
): string | undefined {
  const known = 'reason' in block ? undefined : block
  const { values } = sinkOf(site.node)
  const sink = values.length === 1 ? (values[0] as number) : values
  const dtype = site.input && dtypeOf(site.input)
  const refused = objection(spec, context.target, {
    dtype,
    opset: opsetOf(site.graph),
    sink,
    mask: (known?.masks.length ?? 0) > 0,
    // A site that is no block is refused for that and not for what is not known about it.
    headSize: known ? known.headSize : 0,
    selfAttention: known ? known.sameLength : true,
    stepwise: spec.form !== context.form && isStepwise(site, facts),
  })
  if (refused !== undefined) return refused
  if (known === undefined)
    return `does not fit because ${sentences[(block as NoBlock).reason]((block as NoBlock).detail)}`
  if (functionOf(site.graph)) return 'cannot stand in a function'
  const operator = context.target.target.fused.find(({ op }) => op === operatorOf(spec.form))
  const wrong = operator && fusedObjection(operator, context.target, partsOfBlock(known, sink, spec.form, facts), dtype)
  if (wrong !== undefined) return wrong
  return spec.form === context.form ? unfit(known, spec) : (unfit(known, spec) ?? awkward(known, spec))
}

/** What an operator cannot express. */
function unfit(block: Block, { form }: FormSpec): string | undefined {
  if (block.softcap !== 0 && ['mha-zero-key', 'function', 'plugin'].includes(form)) return 'has no soft cap'
  if (form === 'mha-zero-key' && block.heads !== block.kvHeads) return 'needs keys of as many heads as queries'
  if (form === 'gqa' && block.valueHeadSize !== block.headSize) return 'needs values of the head size of the keys'
  return undefined
}

/** What would cost more than it saves. */
function awkward(block: Block, { form }: FormSpec): string | undefined {
  const packed = form === 'gqa' || form === 'mha-zero-key'
  return packed && !headsInside(block) ? 'takes heads inside the hidden axis, which the graph never has so' : undefined
}

const sentences: Readonly<Record<NoBlock['reason'], (detail: string) => string>> = {
  'no-contraction': () => 'scores or values are not in reach',
  'several-scores': (d) => `the scores are a sum of several products, "${d}" is one`,
  'several-values': (d) => `the probabilities weigh several values, by "${d}" and others`,
  'path-unknown': (d) => `the way to the scores "${d}" is not certain`,
  'shared-scores': (d) => `something else reads the scores "${d}"`,
  'shared-probabilities': (d) => `something else reads the probabilities "${d}"`,
  'probability-operator': (d) => `${d} stands between the probabilities and the values`,
  layout: (d) => `the axes of queries, keys and values are not those of attention with heads (${d})`,
  'merged-heads': (d) => `heads and batch are one axis at "${d}"`,
  'score-operator': (d) => `${d} stands between the scores and the softmax`,
  'scale-unknown': (d) => `the factor of "${d}" is not a known number`,
  'scale-after-mask': (d) => `"${d}" scales what is masked already`,
  'mask-fill': (d) => `"${d}" fills or bounds with a number that may count`,
  'mixed-precision': (d) => `"${d}" changes the precision of the scores`,
}
