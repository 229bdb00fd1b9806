import type { Detail, GraphChange, ModelDifference } from '../compare/index.ts'
import type { ModelEntry } from './document.ts'
import { finite, schema } from './document.ts'

/** What became of a node. */
export interface NodeChangeEntry {
  readonly graph: string
  readonly node: string
  readonly op: string
  readonly change: 'added' | 'removed' | 'changed'
  readonly details: readonly DetailEntry[]
}

/** What is different about it: for constants with `|a - b| / |a|`, null where that is no number. */
export interface DetailEntry {
  readonly what: 'operator' | 'attribute' | 'input' | 'output' | 'constant'
  readonly name: string
  readonly before: string
  readonly after: string
  readonly relative: number | null
}

/** What `--json` prints for `diff`. */
export interface DifferenceDocument {
  readonly schema: typeof schema
  readonly command: 'diff'
  readonly model: ModelEntry
  readonly other: ModelEntry
  /** What is different about the models and their graphs as a whole, one sentence each. */
  readonly header: readonly string[]
  /** In the order of the second model, what was removed first, graph by graph. */
  readonly nodes: readonly NodeChangeEntry[]
  readonly counts: { readonly added: number; readonly removed: number; readonly changed: number }
  readonly same: boolean
}

export function describeDifference(
  model: ModelEntry,
  other: ModelEntry,
  { header, graphs }: ModelDifference,
): DifferenceDocument {
  const inside = (graph: string) => (graph === '' ? '' : ` (in "${graph}")`)
  const all = [...header, ...graphs.flatMap((graph) => graph.interface.map((text) => text + inside(graph.graph)))]
  const nodes = graphs.flatMap(nodeEntries)
  const count = (change: NodeChangeEntry['change']) => nodes.filter((node) => node.change === change).length
  const counts = { added: count('added'), removed: count('removed'), changed: count('changed') }
  const same = nodes.length === 0 && all.length === 0
  return { schema, command: 'diff', model, other, header: all, nodes, counts, same }
}

function nodeEntries({ graph, nodes }: GraphChange): NodeChangeEntry[] {
  return nodes.map(({ node, kind, details }) => ({
    ...{ graph, node: node.label, op: node.op, change: kind },
    details: details.map(detailEntry),
  }))
}

function detailEntry(detail: Detail): DetailEntry {
  if (detail.what !== 'constant') return { ...detail, relative: null }
  const { what, name, change } = detail
  const { before, after, relative } = change
  return { what, name, before, after, relative: relative === undefined ? null : finite(relative) }
}
