import type { Node, Value } from '../../ir/index.ts'

/** Standard operators that compute what a fused attention operator did. */
export interface Expansion {
  /** The output of the softmax: the site an expanded operator has become. */
  readonly normalised: Value
  /** A value for each output of the operator; `undefined` for those nobody asked for. */
  readonly outputs: readonly (Value | undefined)[]
}

/** Why an operator cannot be expanded: the second half of a sentence that begins with its name. */
export interface Unsupported {
  readonly unsupported: string
}

export function unsupported(reason: string): Unsupported {
  return { unsupported: reason }
}

/** Gives each output of a node to the value that replaces it, names and all, and takes the node out. */
export function replaceNode(node: Node, outputs: readonly (Value | undefined)[]): void {
  const { graph } = node
  const originals = [...node.outputs]
  graph.remove(node)
  for (const [index, original] of originals.entries()) {
    if (!original) continue
    const replacement = outputs[index]
    if (replacement) takeOver(original, replacement, node)
    else if (!original.isUsed) graph.removeValue(original)
  }
}

/** Makes the producer of `replacement` produce `original`; readers of `replacement` read `original`. */
function takeOver(original: Value, replacement: Value, at: Node): void {
  const { graph } = original
  const producer = replacement.producer
  if (!producer || producer.graph !== graph || isDeclared(replacement)) {
    graph.insert({ name: original.name, opType: 'Identity' }, [replacement], [original], at.next)
    return
  }
  replacement.replaceUsesWith(original)
  producer.setOutput(producer.outputs.indexOf(replacement), original)
  graph.removeValue(replacement)
}

/** A value others know by name: it was in the model before. */
function isDeclared(value: Value): boolean {
  return value.outputUses > 0 || value.origin !== undefined
}
