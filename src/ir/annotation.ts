import type { Node } from './node.ts'

const prefix = 'outeffhop.'

/** Records what was done to a node: node metadata where the IR version has it (10 and later), else the doc string. */
export function annotate(node: Node, facts: Readonly<Record<string, string>>): void {
  if ((node.graph.model?.irVersion ?? 0) >= 10) {
    for (const [key, value] of Object.entries(facts)) node.setMetadata(prefix + key, value)
    return
  }
  const text = Object.entries(facts)
    .map(([key, value]) => `${prefix}${key}=${value}`)
    .join(' ')
  node.docString = node.docString === '' ? text : `${node.docString}\n${text}`
}

/** What {@link annotate} recorded under a key. */
export function annotationOf(node: Node, key: string): string | undefined {
  const noted = node.metadata.get(prefix + key)
  if (noted !== undefined || node.docString === '') return noted
  return new RegExp(`(?:^|\\s)${prefix.replace('.', '\\.')}${key}=(\\S+)`).exec(node.docString)?.[1]
}
