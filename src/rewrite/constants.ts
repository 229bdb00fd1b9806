import type { Node, Tensor, Value } from '../ir/index.ts'
import { attr } from '../ir/index.ts'
import { constantIn } from './ops.ts'

/**
 * Makes input `port` of a node a constant with these contents. A constant nobody else reads is changed where it is, and
 * keeps its name and its kind; in all other cases the node gets a new one.
 */
export function setConstant(node: Node, port: number, tensor: Tensor): void {
  const old = node.input(port)
  if (!old || !isOwn(old)) {
    node.setInput(port, constantIn(node.graph.outermost(), tensor))
    return
  }
  if (old.initializer) old.initializer = tensor.named(old.name)
  const holder = old.producer
  for (const name of holder?.attributes.keys() ?? []) holder?.setAttribute(name, undefined)
  holder?.setAttribute('value', attr.tensor(tensor))
}

/** Whether just one node input reads a value, in whatever graph, and no graph gives it out. */
export function isOwn(value: Value): boolean {
  return value.outputUses === 0 && value.uses.length === 1
}
