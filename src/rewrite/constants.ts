import type { Node, Tensor, Value } from '../ir/index.ts'
import { removeDead } from './dead.ts'

/**
 * Gives an input of a node other constant data. An initializer nobody else reads keeps its name; else the node gets one
 * of its own. What made the old one and is read by nobody any more is removed.
 */
export function replaceConstant(node: Node, port: number, tensor: Tensor, name?: string): Value {
  const old = node.input(port)
  const alone = old && old.uses.length === 1 && old.outputUses === 0
  if (old?.initializer && alone && !old.isInput && old.graph === node.graph) {
    old.initializer = tensor.named(old.name)
    return old
  }
  const value = node.graph.addInitializer(name ?? old?.name ?? `${node.label}/constant`, tensor)
  node.setInput(port, value)
  if (old) dropUnread(old)
  return value
}

/** Removes a value nobody reads, with the nodes that only it needed. */
export function dropUnread(value: Value): void {
  if (value.isUsed || value.isInput) return
  if (value.producer) removeDead([value.producer])
  else value.graph.removeValue(value)
}
