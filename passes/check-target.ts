import type { Model, Node } from '../src/ir/index.ts'
import { dtypeName } from '../src/ir/index.ts'
import type { PassContext, Report } from '../src/rewrite/index.ts'
import { definePass, opsetOf, reportsOnly } from '../src/rewrite/index.ts'
import type { Target } from '../src/targets/index.ts'
import { compareVersions, neededVersion, standingOf } from '../src/targets/index.ts'

/**
 * Reports what the target does not list, and which version of it the result needs; changes nothing.
 *
 * 1. The opset or the IR version is newer than the target version loads, or newer than any version known.
 * 2. An operator is none of the target, of the opset or of the model-local functions, or newer than the target version.
 * 3. A value is of an element type the target runs nothing in.
 */
export const checkTarget = definePass({
  name: 'check-target',
  stage: 'lower',
  summary: 'Report what the target cannot load.',
  effect: reportsOnly,
  run(model, context) {
    checkVersions(model, context)
    checkOperators(model, context)
    checkTypes(model, context)
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

function checkOperators(model: Model, { target: { target, version }, report }: PassContext): void {
  const local = new Set(model.functions.map((fn) => `${fn.domain}::${fn.name}`))
  const seen = new Set<string>()
  for (const graph of model.graphs()) {
    const opset = opsetOf(graph)
    for (const node of graph.nodes()) {
      checkAttributes(node, target, report)
      const key = `${node.op} ${opset}`
      if (seen.has(key) || local.has(`${node.domain}::${node.opType}`)) continue
      seen.add(key)
      const { since, problem } = standingOf(node.op, node.domain, opset, target)
      if (problem !== undefined)
        report.warn('unknown-operator', `"${node.label}" is a ${node.op}: ${problem}`, { node: node.label })
      if (since === undefined || version === undefined || compareVersions(since, version) <= 0) continue
      report.require({ runtime: since, reason: `its ${node.op}` })
      report.warn('target-too-old', `${target.name} ${version} has no ${node.op}, ${since} has`, { node: node.label })
    }
  }
}

function checkAttributes(node: Node, { attributes }: Target, report: Report): void {
  for (const { op, attribute, value, since } of attributes) {
    if (node.op === op && node.int(attribute) === value)
      report.require({ runtime: since, reason: `its ${op} with ${attribute} ${value}` })
  }
}

function checkTypes(model: Model, { target: { target }, report }: PassContext): void {
  const refused = new Set(target.refusedTypes)
  const values = [...model.graphs()].flatMap((graph) => (refused.size > 0 ? [...graph.values.values()] : []))
  const value = values.find(({ dtype }) => dtype !== undefined && refused.has(dtype))
  if (value?.dtype === undefined) return
  const message = `"${value.name}" is of type ${dtypeName(value.dtype)}, in which ${target.name} runs nothing`
  report.warn('unknown-type', message, { value: value.name })
}
