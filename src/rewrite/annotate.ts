import type { Node } from '../ir/index.ts'

/** Records what was done to a node: node metadata where the IR version has it (10 and later), else the doc string. */
export function annotate(node: Node, facts: Readonly<Record<string, string>>): void {
  const entries = Object.entries(facts).map(([key, value]) => [`outeffhop.${key}`, value] as const)
  if ((node.graph.model?.irVersion ?? 0) >= 10) {
    for (const [key, value] of entries) node.setMetadata(key, value)
    return
  }
  const text = entries.map(([key, value]) => `${key}=${value}`).join(' ')
  node.docString = node.docString === '' ? text : `${node.docString}\n${text}`
}

/** Whether this program wrote the node. */
export function isAnnotated(node: Node): boolean {
  return node.metadata.has('outeffhop.form') || /(^|\n| )outeffhop\.form=/.test(node.docString)
}
