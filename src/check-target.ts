/** Whether a target takes a model, before anybody loads it there or builds an engine of it. */
import { buildEntry } from './build-entry.ts'
import { checkOptions } from './check-options.ts'
import type { ModelInput } from './convert.ts'
import type { TrapHit } from './import-symptoms.ts'
import { trapHits } from './import-symptoms.ts'
import { dtypeName, Model } from './ir/index.ts'
import { closeModel, openModel } from './onnx/index.ts'
import { operatorFindings, tooOld } from './operator-findings.ts'
import { Facts } from './ops/index.ts'
import { checkTargetKinds } from './option-kinds.ts'
import type { TargetOptions } from './options.ts'
import { targetOf } from './options.ts'
import type { BuildEntry, TargetCheckDocument, TargetFinding } from './report/index.ts'
import { describeModel, schema } from './report/index.ts'
import { symptomsOf } from './symptoms.ts'
import type { QdqFinding, QdqRule, TargetChoice } from './targets/index.ts'
import { compareVersions, neededVersion, trapsOf } from './targets/index.ts'

export interface CheckTargetOptions extends TargetOptions {
  /** Put the sha256 of the model file in the document. */
  readonly hash?: boolean | undefined
}

/**
 * Says what of a model a target cannot load, reads otherwise, or keeps apart where it could be one kernel: each with the nodes
 * and what to do. Nothing is converted, loaded or built.
 */
export async function checkTarget(input: ModelInput, options: CheckTargetOptions = {}): Promise<TargetCheckDocument> {
  checkOptions(options, checkTargetKinds)
  const choice = targetOf(options)
  const model = input instanceof Model ? input : openModel(input)
  try {
    const facts = new Facts()
    const { target, version } = choice
    const described = await describeModel(model, options)
    const build = target.build ? buildEntry(model, target.build, described.path ?? 'model.onnx', facts) : null
    const operators = operatorFindings(model, choice)
    const findings = [
      ...versionFindings(model, choice),
      ...operators.findings,
      ...typeFindings(model, choice),
      ...trapFindings(model, choice, facts),
      ...quantizerFindings(model, choice),
      ...runtimeFindings(model, choice),
      ...undividedFindings(model, choice, build),
    ]
    const needs = [neededVersion(model, target), ...operators.needs].filter((need) => need !== undefined)
    const [most] = needs.sort((a, b) => compareVersions(b.version, a.version))
    return {
      schema,
      command: 'check-target',
      model: described,
      target: { name: target.name, version: version ?? null },
      requires: { runtime: most?.version ?? null, reasons: most ? [most.reason] : [] },
      loads: findings.every(({ severity }) => severity !== 'error'),
      findings,
      build,
    }
  } finally {
    if (model !== input) closeModel(model)
  }
}

function versionFindings(model: Model, { target, version }: TargetChoice): readonly TargetFinding[] {
  const need = neededVersion(model, target)
  const { newest } = target
  if (newest && (model.opset > newest.opset || model.irVersion > newest.irVersion))
    return [
      {
        code: 'newer-than-target',
        severity: 'error',
        message: `Opset ${model.opset} and IR version ${model.irVersion} are newer than any ${target.name} that is known here loads.`,
        advice: `Export for opset ${newest.opset} or older.`,
        names: [],
        source: null,
      },
    ]
  if (!need || version === undefined || compareVersions(need.version, version) <= 0) return []
  return [tooOld(`${target.name} ${version} does not load ${need.reason}`, need.version, [])]
}

function typeFindings(model: Model, { target }: TargetChoice): readonly TargetFinding[] {
  return target.refusedTypes.flatMap((dtype) => {
    const values = [...model.graphs()].flatMap((graph) => [...graph.values.values()])
    const names = values.filter((value) => value.dtype === dtype).map(({ name }) => name)
    if (names.length === 0) return []
    const message = `"${names[0]}" is of type ${dtypeName(dtype)}, in which ${target.name} runs nothing.`
    const advice = 'Export it in another type, or keep what makes it out of the model.'
    return [{ code: 'unknown-type', severity: 'error' as const, message, advice, names, source: null }]
  })
}

function trapFindings(model: Model, { target }: TargetChoice, facts: Facts): readonly TargetFinding[] {
  if (!target.build) return []
  const groups = new Map<string, TrapHit[]>()
  for (const hit of trapHits(model, target.build, facts)) {
    const key = `${hit.trap.code} ${hit.what}`
    groups.set(key, [...(groups.get(key) ?? []), hit])
  }
  return [...groups.values()].map((group): TargetFinding => {
    const [{ trap, name, what, kind }] = group as [TrapHit]
    const subject = kind === 'node' ? `"${name}", ${what},` : `"${name}", a value ${what},`
    const { code, severity, message, advice, source } = trap
    return { code, severity, message: `${subject} ${message}.`, advice, names: group.map((hit) => hit.name), source }
  })
}

/** What explicit Q/DQ break, where no trap says it already. */
function quantizerFindings(model: Model, { target }: TargetChoice): readonly TargetFinding[] {
  const told = new Set<QdqRule>(['zero-point', 'scale-positive', 'quantized-type'])
  const groups = new Map<string, QdqFinding[]>()
  for (const finding of target.build?.checkQdq(model) ?? [])
    if (!told.has(finding.rule)) groups.set(finding.rule, [...(groups.get(finding.rule) ?? []), finding])
  return [...groups.values()].map((group): TargetFinding => {
    const [{ rule, severity, message, advice }] = group as [QdqFinding]
    const grave = severity === 'refused' ? 'error' : 'warning'
    const names = group.map(({ node }) => node)
    return { code: `qdq-${rule}`, severity: grave, message: `${message}.`, advice, names, source: null }
  })
}

/** What the version of a runtime is known to do badly with such a model. */
function runtimeFindings(model: Model, { target, version }: TargetChoice): readonly TargetFinding[] {
  if (target.runtimeTraps === undefined || version === undefined) return []
  return trapsOf(version, symptomsOf(model), target.runtimeTraps).map(({ code, message, advice, source }) => ({
    code,
    severity: 'warning' as const,
    message: `${target.name} ${version} ${message}.`,
    advice,
    names: [],
    source,
  }))
}

/** Attention operators that no kernel is expected for: a builder gives up on them. */
function undividedFindings(model: Model, { target }: TargetChoice, build: BuildEntry | null): readonly TargetFinding[] {
  const undivided = new Set(target.build?.undivided)
  const nodes = [...model.graphs()].flatMap((graph) => [...graph.nodes()]).filter(({ op }) => undivided.has(op))
  return nodes.flatMap((node) => {
    const entry = build?.attention.find((site) => site.node === node.label && site.fused === 'no')
    if (!entry) return []
    const [reason] = entry.reasons
    return [
      {
        code: 'attention-without-kernel',
        severity: 'error' as const,
        message: `"${node.label}" is one operator that has to be fused, and ${reason?.message}: no engine is built.`,
        advice:
          'Convert to this target, which opens the operator where it gets a sink, or build with --decomposableAttentions.',
        names: [node.label],
        source: reason?.source ?? null,
      },
    ]
  })
}
