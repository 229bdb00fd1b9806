import type { Model } from '../ir/index.ts'
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
