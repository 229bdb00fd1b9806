import type { Site } from '../../attention/index.ts'
import { annotate } from '../../ir/index.ts'
import type { PassContext } from '../pass.ts'
import { planInPlace } from './in-place.ts'
import type { SharedValues } from './workbench.ts'

/** Converts a fused site where it stands and writes it in the report; false when it is not one, or cannot be. */
export function convertInPlace(site: Site, context: PassContext, shared: SharedValues): boolean {
  const { report, target, facts } = context
  const entry = report.add(site)
  if (site.verdict.kind !== 'fused') return false
  const sink = context.sink(site)
  const plan = planInPlace(site, { sink, target }, facts, shared)
  if (!('apply' in plan)) return false
  plan.apply()
  annotate(site.node, { form: plan.form, sink: String(sink) })
  entry.converted = true
  entry.sink = sink
  entry.form = plan.form
  entry.formReason = `${site.node.op} takes a sink where it stands`
  const reason = `"${site.node.label}" is a ${site.node.op} with a sink`
  if (plan.since !== undefined) report.require({ runtime: plan.since, reason })
  if (plan.provider !== undefined) report.require({ provider: plan.provider, reason })
  return true
}
