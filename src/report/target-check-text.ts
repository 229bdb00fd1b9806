import type { Paint } from './paint.ts'
import { alignRows, count, formatBytes } from './table.ts'
import type { BuildEntry, FusionEntry, TargetCheckDocument, TargetFinding } from './target-check.ts'

/** Sites, and lines of one finding's kind, printed before the rest is summed up. */
const mostRows = 24

/** A check of a target as people read it: what stops the model, which attention is fused, how an engine is built. */
export function summarizeTargetCheck(document: TargetCheckDocument, paint: Paint): string {
  const { model, target, findings, build, loads, requires } = document
  const name = target.version === null ? target.name : `${target.name} ${target.version}`
  const lines = [
    `${paint.strong(model.path ?? 'model')}  ${paint.faint(`${formatBytes(model.bytes)}, opset ${model.opsets[''] ?? 1}`)}`,
    '',
    ...findings.flatMap((finding) => findingLines(finding, paint)),
  ]
  if (findings.length > 0) lines.push('')
  if (build && build.attention.length > 0) lines.push(...attentionLines(build.attention, paint), '')
  const errors = findings.filter(({ severity }) => severity === 'error').length
  const verdict = loads ? paint.good(`Nothing is known to stop it on ${name}.`) : paint.bad(`${name} does not take it:`)
  lines.push(loads ? verdict : `${verdict} ${count(errors, 'reason')}.`)
  if (requires.runtime !== null)
    lines.push(`It needs ${target.name} ${requires.runtime}: ${requires.reasons.join(', ')}.`)
  if (build && loads) lines.push(...buildLines(build, paint))
  return `${lines.join('\n')}\n`
}

function findingLines({ severity, message, advice, names }: TargetFinding, paint: Paint): string[] {
  const word = severity === 'error' ? paint.bad('error') : paint.warn('warning')
  const more = names.length > 1 ? paint.faint(` (and ${names.length - 1} more)`) : ''
  return [`  ${word}  ${message}${more}`, ...(advice === null ? [] : [paint.faint(`         ${advice}`)])]
}

/** Sites whose reasons are alike are one row. */
function attentionLines(entries: readonly FusionEntry[], paint: Paint): string[] {
  const groups = new Map<string, FusionEntry[]>()
  for (const entry of entries) {
    const key = `${entry.fused} ${entry.reasons.map(({ code, message }) => code + message.replaceAll(/\d+/g, '')).join()}`
    groups.set(key, [...(groups.get(key) ?? []), entry])
  }
  const rows = [...groups.values()].slice(0, mostRows)
  const cells = rows.map(([first, ...others]) => {
    const { fused, node } = first as FusionEntry
    const word = { yes: 'fused', no: 'not fused', depends: 'depends', plugin: 'plugin', unknown: 'unknown' }[fused]
    const colour = fused === 'yes' || fused === 'plugin' ? paint.good : paint.warn
    return [{ text: word, paint: colour }, { text: others.length > 0 ? `${node}  (${others.length + 1})` : node }]
  })
  const heads = alignRows(cells)
  return heads.flatMap((line, i) => {
    const reasons = rows[i]?.[0]?.reasons ?? []
    return [line, ...reasons.map(({ message, advice }) => paint.faint(`      ${message}. ${advice}`))]
  })
}

/** The command, on a line of its own that can be copied. */
export function buildLines({ command, profile, lookFor }: BuildEntry, paint: Paint): string[] {
  const sizes = profile.length === 0 ? '' : ' The sizes are proposals: put yours there.'
  return ['', `Build it:${sizes}`, `  ${paint.faint(command)}`, lookFor]
}
