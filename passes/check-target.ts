import type { Model } from '../src/ir/index.ts'
import type { PassContext } from '../src/rewrite/index.ts'
import { definePass, reportsOnly } from '../src/rewrite/index.ts'
import { compareVersions, neededVersion } from '../src/targets/index.ts'

/**
 * Reports what the target does not list, and which version of it the result needs; changes nothing.
 *
 * 1. The opset or the IR version is newer than the target version loads, or newer than any version known.
 * 2. An operator is of a domain that the target does not know and no model-local function defines.
 */
export const checkTarget = definePass({
  name: 'check-target',
  stage: 'lower',
  summary: 'Report what the target cannot load.',
  effect: reportsOnly,
  run(model, context) {
    checkVersions(model, context)
    checkDomains(model, context)
    return 0
  },
})

function checkVersions(model: Model, { target: { target, version }, report }: PassContext): void {
  const need = neededVersion(model, target)
  if (need) {
    report.require({ runtime: need.version, reason: need.reason })
    if (version !== undefined && compareVersions(need.version, version) > 0)
      report.warn(
        'target-too-old',
        `${target.name} ${version} does not load this model: ${need.reason} needs ${need.version}`,
      )
  }
  const { newest } = target
  if (newest && (model.opset > newest.opset || model.irVersion > newest.irVersion))
    report.warn(
      'newer-than-target',
      `opset ${model.opset} and IR version ${model.irVersion} are newer than any ${target.name} that is known here loads`,
    )
}

function checkDomains(model: Model, { target: { target }, report }: PassContext): void {
  const local = new Set(model.functions.map((fn) => `${fn.domain}::${fn.name}`))
  const known = new Set(['', ...target.domains])
  const unknown = new Map<string, string>()
  for (const graph of model.graphs())
    for (const node of graph.nodes())
      if (!known.has(node.domain) && !local.has(`${node.domain}::${node.opType}`)) unknown.set(node.op, node.label)
  for (const [op, label] of unknown)
    report.warn('unknown-operator', `${op} ("${label}") is of a domain that ${target.name} does not know by itself`, {
      node: label,
    })
}
