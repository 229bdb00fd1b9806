import type { Node, Tensor, Value } from '../ir/index.ts'
import { attr } from '../ir/index.ts'
import { removeDead } from './dead.ts'
import { constantIn } from './ops.ts'

/**
 * Gives an input of a node other constant data. A constant nobody else reads is changed where it is, and keeps its name and
 * its kind, initializer or Constant node; else the node gets one of its own. What made the old one and is read by nobody
 * any more is removed.
 */
export function replaceConstant(node: Node, port: number, tensor: Tensor, name?: string): Value {
  const old = node.input(port)
  if (old && isOwn(old) && !old.isInput) {
    if (old.initializer) {
      old.initializer = tensor.named(old.name)
      return old
    }
    if (old.producer?.op === 'Constant') {
      for (const attribute of old.producer.attributes.keys()) old.producer.setAttribute(attribute, undefined)
      old.producer.setAttribute('value', attr.tensor(tensor))
      return old
    }
  }
  const value = constantIn(node.graph.outermost(), tensor.named(name ?? old?.name ?? `${node.label}/constant`))
  node.setInput(port, value)
  if (old) dropUnread(old)
  return value
}

/** Whether just one node input reads a value, in whatever graph, and no graph gives it out. */
export function isOwn(value: Value): boolean {
  return value.outputUses === 0 && value.uses.length === 1
}

/** Removes a value nobody reads, with the nodes that only it needed. */
export function dropUnread(value: Value): void {
  if (value.isUsed || value.isInput) return
  if (value.producer) removeDead([value.producer])
  else value.graph.removeValue(value)
}
