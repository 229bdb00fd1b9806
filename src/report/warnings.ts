import type { ReportDocument } from './document.ts'
import { commonText, digitsOut, fullName } from './groups.ts'

/** Warnings as people read them: each names its node, and what is said of every layer is said once. */
export function warningLines(warnings: ReportDocument['warnings']): string[] {
  const groups = new Map<string, { readonly places: string[]; readonly messages: string[] }>()
  for (const { code, message, at } of warnings) {
    const named = at?.node === undefined || message.includes(`"${at.node}"`)
    const place = named ? '' : fullName({ node: at.node as string, graph: at.graph ?? '' })
    const key = [code, digitsOut(place), digitsOut(message)].join('\n')
    const group = groups.get(key) ?? { places: [], messages: [] }
    groups.set(key, group)
    group.places.push(place)
    group.messages.push(message)
  }
  return Array.from(groups.values(), ({ places, messages }) => {
    const name = commonText(places)
    const many = places.length > 1 ? ` (${places.length})` : ''
    return name === '' ? commonText(messages) : `"${name}"${many}: ${commonText(messages)}`
  })
}
