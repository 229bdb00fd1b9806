/** Operators of a model that a target does not have, and the versions the others came with. */
import type { Model, Node } from './ir/index.ts'
import type { TargetFinding } from './report/index.ts'
import { opsetOf } from './rewrite/index.ts'
import type { Need, Target, TargetChoice } from './targets/index.ts'
import { compareVersions, standingOf } from './targets/index.ts'

export interface OperatorFindings {
  readonly findings: readonly TargetFinding[]
  /** What the operators that the target has want of its version. */
  readonly needs: readonly Need[]
}

/** Each operator once, with all of its nodes. */
export function operatorFindings(model: Model, { target, version }: TargetChoice): OperatorFindings {
  const ownNames = new Set(model.functions.map((fn) => `${fn.domain}::${fn.name}`))
  const elsewhere = new Set([...(target.build?.contributed ?? []), ...misread(target)])
  const needs: Need[] = []
  const problems = new Map<string, { readonly problem: Problem; readonly names: string[] }>()
  for (const node of [...model.graphs()].flatMap((graph) => [...graph.nodes()])) {
    needs.push(...attributeNeeds(node, target))
    if (ownNames.has(`${node.domain}::${node.opType}`) || elsewhere.has(node.op)) continue
    const { since, problem } = standingOf(node.op, node.domain, opsetOf(node.graph), target)
    if (since !== undefined) needs.push({ version: since, reason: `its ${node.op}` })
    const isNewer = since !== undefined && version !== undefined && compareVersions(since, version) > 0
    if (problem === undefined && !isNewer) continue
    const key = `${node.op} ${problem}`
    const known = problems.get(key)
    if (known) known.names.push(node.label)
    else problems.set(key, { problem: { op: node.op, problem, since }, names: [node.label] })
  }
  const findings = [...problems.values()].map(({ problem, names }) => finding(problem, names, { target, version }))
  return { findings, needs }
}

interface Problem {
  readonly op: string
  /** Undefined where the operator is too new. */
  readonly problem: string | undefined
  readonly since: string | undefined
}

function finding(
  { op, problem, since }: Problem,
  names: readonly string[],
  { target, version }: Pick<TargetChoice, 'target' | 'version'>,
): TargetFinding {
  if (problem === undefined)
    return tooOld(`"${names[0]}" is a ${op}, which ${target.name} ${version} does not have`, since as string, names)
  return {
    code: 'unknown-operator',
    severity: 'error',
    message: `"${names[0]}" is a ${op}: ${problem}.`,
    advice: op.includes('::')
      ? 'Export it in operators of the standard, or give the runtime an implementation of it.'
      : 'Export it in other operators.',
    names,
    source: null,
  }
}

/** Something that a version before `version` does not have; `what` is a sentence less its end. */
export function tooOld(what: string, version: string, names: readonly string[]): TargetFinding {
  const advice = `Run it on ${version} or later, or export for an older opset.`
  return {
    code: 'target-too-old',
    severity: 'error',
    message: `${what}, ${version} does.`,
    advice,
    names,
    source: null,
  }
}

/** Names of other domains that are taken for operators of the standard: a trap says so. */
function misread({ build }: Target): readonly string[] {
  return build?.traps.flatMap(({ symptom, ops }) => (symptom === 'read-as-another' && ops ? ops : [])) ?? []
}

function attributeNeeds(node: Node, { attributes }: Target): readonly Need[] {
  return attributes
    .filter(({ op, attribute, value }) => node.op === op && node.int(attribute) === value)
    .map(({ op, attribute, value, since }) => ({ version: since, reason: `its ${op} with ${attribute} ${value}` }))
}
