import type { DetailEntry, DifferenceDocument, NodeChangeEntry } from './difference.ts'
import type { Paint } from './paint.ts'
import { alignRows } from './table.ts'

/** A difference as people read it: a line for each node, and what is different about it. */
export function summarizeDifference(document: DifferenceDocument, paint: Paint): string {
  const { model, other, header, nodes, counts, same } = document
  const lines = [`${paint.strong(model.path ?? 'model')}, then ${paint.strong(other.path ?? 'model')}`]
  if (same) return `${[...lines, 'The graphs are the same, and so are their weights.'].join('\n')}\n`
  const rows = alignRows(
    nodes.flatMap((node) => [
      [
        { text: node.change, paint: colourOf(node, paint) },
        { text: node.op },
        { text: node.graph === '' ? node.node : `${node.node}  (in ${node.graph})` },
        { text: node.details.map(detailWords).join('; '), paint: paint.faint },
      ],
    ]),
  )
  const sum = `${counts.changed} changed, ${counts.added} added, ${counts.removed} removed.`
  return `${[...lines, ...header.map((text) => `  ${text}`), '', ...rows, ...(rows.length > 0 ? [''] : []), sum].join('\n')}\n`
}

function colourOf({ change }: NodeChangeEntry, paint: Paint): (text: string) => string {
  return change === 'added' ? paint.good : change === 'removed' ? paint.bad : paint.warn
}

function detailWords({ what, name, before, after, relative }: DetailEntry): string {
  if (what !== 'constant') return `${name} ${before} → ${after}`
  if (before !== after) return `${name} ${before} → ${after}`
  return relative === null ? `${name} ${before} has other content` : `${name} ${before} differs by ${share(relative)}`
}

function share(relative: number): string {
  const percent = 100 * relative
  return `${percent >= 0.1 ? percent.toFixed(1) : percent.toPrecision(2)} %`
}
