import type { Site } from '../src/attention/index.ts'
import type { Node } from '../src/ir/index.ts'
import { annotate } from '../src/ir/index.ts'
import { dtypeOf } from '../src/ops/index.ts'
import type { PassContext } from '../src/rewrite/index.ts'
import {
  Columns,
  definePass,
  equivalent,
  isSoftmax1,
  isStepwise,
  lowerToPrimitives,
  opsetOf,
  planZeroKey,
  sinkOf,
} from '../src/rewrite/index.ts'
import { candidates, objection } from '../src/targets/index.ts'

/**
 * Spells every Softmax1 node in the first form of the target whose conditions hold: a zero key in place along the walked
 * path, else primitives, which are always possible.
 */
export const lowerSoftmax1 = definePass({
  name: 'lower-softmax1',
  stage: 'lower',
  summary: 'Spell Softmax1 with a zero key, or with primitives where that cannot be.',
  effect: equivalent,
  run(model, context) {
    if (![...model.graphs()].some((graph) => [...graph.nodes()].some(isSoftmax1))) return 0
    const edge = context.target.target.forms.find((spec) => spec.form === 'zero-key')?.edge
    const columns = new Columns(context.facts, edge)
    const sites = context.sites.filter((site) => isSoftmax1(site.node))
    for (const site of sites) lower(site, columns, context)
    return sites.length
  },
})

interface Choice {
  readonly form: string
  readonly reason: string
  apply(): Node
}

function lower(site: Site, columns: Columns, context: PassContext): void {
  const entry = context.report.add(site)
  const sink = sinkOf(site.node)
  const rejected: { form: string; reason: string }[] = []
  const choice = choose(site, columns, context, rejected)
  const node = choice.apply()
  entry.form = choice.form
  entry.formReason = choice.reason
  entry.rejectedForms.push(...rejected)
  annotate(node, { form: choice.form, sink: sink.values.join(',') })
}

function choose(
  site: Site,
  columns: Columns,
  context: PassContext,
  rejected: { form: string; reason: string }[],
): Choice {
  const sink = sinkOf(site.node)
  const facts = {
    dtype: site.input && dtypeOf(site.input),
    opset: opsetOf(site.graph),
    sink: sink.heads ? sink.values : (sink.values[0] as number),
    mask: true,
  }
  const stepwise = isStepwise(site, columns.facts)
  for (const spec of candidates(context.target, context.form)) {
    if (spec.form !== 'zero-key' && spec.form !== 'primitives') continue
    const refused = objection(spec, context.target, { ...facts, stepwise: stepwise && spec.form !== context.form })
    if (refused !== undefined) rejected.push({ form: spec.form, reason: refused })
    else if (spec.form === 'primitives') break
    else {
      const plan = planZeroKey(site, columns)
      if (typeof plan !== 'string') return { form: spec.form, reason: plan.reason, apply: plan.apply }
      rejected.push({ form: spec.form, reason: `cannot be used because ${plan}` })
    }
  }
  const last = rejected.at(-1)
  return {
    form: 'primitives',
    reason: last === undefined ? 'it was asked for' : `${last.form} ${last.reason}`,
    apply: () => lowerToPrimitives(site.node),
  }
}
