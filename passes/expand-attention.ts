import type { Site } from '../src/attention/index.ts'
import type { Facts } from '../src/ops/index.ts'
import type { PassContext, SiteReport } from '../src/rewrite/index.ts'
import {
  definePass,
  equivalent,
  expandFused,
  isExpandable,
  planInPlace,
  replaceNode,
  SharedValues,
} from '../src/rewrite/index.ts'

/**
 * Opens fused attention operators into standard operators where no sink can be given to them on the target; what can be
 * neither opened nor converted where it stands is reported with the operator's name.
 *
 * Masks and positions that several operators share are built once.
 */
export const expandAttention = definePass({
  name: 'expand-attention',
  stage: 'recognize',
  summary: 'Open fused attention operators that cannot take a sink where they stand.',
  effect: equivalent,
  run(_model, context) {
    const { facts } = context
    const shared = new SharedValues()
    let expanded = 0
    for (const site of context.sites) {
      // All of them, so that the report lists sites in the order of the file.
      context.report.add(site)
      if (site.verdict.kind === 'fused' && expand(site, facts, shared, context)) expanded++
    }
    return expanded
  },
})

function expand(site: Site, facts: Facts, shared: SharedValues, context: PassContext): boolean {
  const entry = context.report.add(site)
  const { node } = site
  const plan = planInPlace(site, { sink: context.sink(site), target: context.target }, facts, shared)
  const expandable = isExpandable(node)
  if ('apply' in plan) {
    const another = expandable && context.form !== undefined && context.form !== plan.form
    if (!another) return false
    entry.rejectedForms.push({ form: plan.form, reason: `the form ${context.form} was asked for` })
  } else if (plan.form) entry.rejectedForms.push({ form: plan.form, reason: plan.refused })
  const problem = expandable ? open(site, facts, shared, context) : undefined
  if (expandable && problem === undefined) return true
  leave(entry, site, problem ?? ('refused' in plan ? plan.refused : ''))
  return false
}

/** Opens the operator; why it cannot be opened otherwise. */
function open(site: Site, facts: Facts, shared: SharedValues, context: PassContext): string | undefined {
  const { node, output } = site
  const result = expandFused(node, facts, shared)
  if ('unsupported' in result) return `"${node.label}" ${result.unsupported}`
  const renamed = replaceNode(node, result.outputs)
  context.report.rekey(output, renamed.get(result.normalised) ?? result.normalised)
  return undefined
}

function leave(entry: SiteReport, { node }: Site, why: string): void {
  entry.reason = 'fused-unsupported'
  entry.message = `"${node.label}" is a ${node.op}, which this program can neither open nor give a sink: ${why}.`
}
