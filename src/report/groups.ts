import type { SiteEntry } from './document.ts'

/** Sites that differ in the numbers of their names only: the layers of a model. */
export interface SiteGroup {
  /** The common name, with `{0..11}` where consecutive numbers were and `*` where other ones were. */
  readonly name: string
  readonly sites: readonly SiteEntry[]
  readonly first: SiteEntry
}

/** Groups of sites with the same fate, in the order of their first sites. */
export function groupSites(sites: readonly SiteEntry[]): SiteGroup[] {
  const groups = new Map<string, SiteEntry[]>()
  for (const site of sites) {
    const fate = [
      site.verdict,
      site.reason,
      site.converted,
      site.form,
      site.op,
      site.spelling,
      // Sinks of single heads differ from layer to layer; that is no other fate.
      typeof site.sink === 'number' ? site.sink : 'by head',
    ]
    const texts = [site.graph, site.node, site.message, site.formReason ?? '']
    const key = [...texts.map(digitsOut), ...fate].join('\n')
    const group = groups.get(key)
    if (group) group.push(site)
    else groups.set(key, [site])
  }
  return [...groups.values()].map((group) => ({
    name: commonText(group.map(fullName)),
    sites: group,
    first: group[0] as SiteEntry,
  }))
}

/** A text without its numbers: what the same thing said of every layer has in common. */
export function digitsOut(text: string): string {
  return text.replace(/\d+/g, '#')
}

/** Texts that differ in their numbers only as one. */
export function commonText(names: readonly string[]): string {
  const [first = ''] = names
  if (names.length === 1) return first
  const numbers = names.map((name) => name.match(/\d+/g) ?? [])
  let index = -1
  return first.replace(/\d+/g, () => {
    index++
    return range(numbers.map((of) => of[index] ?? ''))
  })
}

function range(numbers: readonly string[]): string {
  const distinct = [...new Set(numbers)].map(Number).sort((a, b) => a - b)
  const [low = 0] = distinct
  const high = distinct.at(-1) ?? low
  if (distinct.length === 1) return numbers[0] ?? ''
  return high - low === distinct.length - 1 ? `{${low}..${high}}` : '*'
}

/** The name of a site with the nested graph it is in. */
export function fullName(site: Pick<SiteEntry, 'node' | 'graph'>): string {
  return site.graph === '' ? site.node : `${site.graph}: ${site.node}`
}
