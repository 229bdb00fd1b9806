import type { Node } from '../ir/index.ts'

/** Removes those of the nodes nobody reads any more, and then whatever only they read. Returns how many were removed. */
export function removeDead(nodes: Iterable<Node>): number {
  const queue = [...nodes]
  let removed = 0
  for (let node = queue.pop(); node; node = queue.pop()) {
    if (node.removed || node.outputs.some((value) => value?.isUsed)) continue
    const { graph } = node
    const inputs = node.inputs.filter((value) => value !== undefined)
    const outputs = node.outputs.filter((value) => value !== undefined)
    graph.remove(node)
    removed++
    for (const value of outputs) graph.removeValue(value)
    for (const value of inputs) {
      if (value.isUsed) continue
      if (value.producer) queue.push(value.producer)
      else if (value.initializer && !value.isInput) value.graph.removeValue(value)
    }
  }
  return removed
}
