import type { Model } from '../ir/index.ts'
import { newestStandard, opsetsOf } from './standard-operators.ts'
import type { Target, TargetChoice } from './target.ts'
import { compareVersions } from './version.ts'

/** The oldest runtime that loads a model, and what makes it so. */
export interface Need {
  readonly version: string
  readonly reason: string
}

/** What a model needs of a target by its opset and IR version; undefined for a target without versions. */
export function neededVersion(model: Model, target: Target): Need | undefined {
  const needs = [
    needOf(target.opsets, model.opset, `its opset ${model.opset}`),
    needOf(target.irVersions, model.irVersion, `its IR version ${model.irVersion}`),
  ].filter((need) => need !== undefined)
  return needs.sort((a, b) => compareVersions(b.version, a.version))[0]
}

/** The choice with its version raised to what the model needs anyway. */
export function raisedFor(model: Model, choice: TargetChoice): TargetChoice {
  const need = neededVersion(model, choice.target)
  if (!need || choice.version === undefined || compareVersions(need.version, choice.version) <= 0) return choice
  return { ...choice, version: need.version }
}

function needOf(rows: Target['opsets'], value: number, reason: string): Need | undefined {
  const row = rows.find(([from]) => value >= from)
  return row && { version: row[1], reason }
}

/** How an operator stands to a target: the version that brought it, or why it is not one. */
export type Standing = { readonly since?: string; readonly problem?: string }

/** The standing of an operator, named as `Node.op` gives it, in a graph that imports `opset` of the default domain. */
export function standingOf(op: string, domain: string, opset: number, target: Target): Standing {
  const since = target.operators.get(op)
  if (since !== undefined) return { since }
  if (domain === 'com.microsoft' && target.domains.includes(domain)) return { problem: `${target.name} has no ${op}` }
  if (domain !== '' && !target.domains.includes(domain))
    return { problem: `${target.name} does not know the domain "${domain}" by itself` }
  if (domain === '' && target.lacks.has(op)) return { problem: `${target.name} does not import it` }
  if (domain !== '' || opset > newestStandard) return {}
  const opsets = opsetsOf(op)
  if (!opsets) return { problem: 'the standard has no such operator' }
  if (opset < opsets.first) return { problem: `it came with opset ${opsets.first}, the graph imports ${opset}` }
  return opset > opsets.last ? { problem: `it went with opset ${opsets.last + 1}, the graph imports ${opset}` } : {}
}
