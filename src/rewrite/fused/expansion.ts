import type { Node, Value } from '../../ir/index.ts'

/** Standard operators that compute what a fused attention operator did. */
export interface Expansion {
  /** What enters the softmax, in the type it is computed in: [B, H, S, T]. */
  readonly scores: Value
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

/**
 * Gives each output of a node to the value that replaces it, names and all, and takes the node out. Returns what the
 * replacements are called now.
 */
export function replaceNode(node: Node, outputs: readonly (Value | undefined)[]): ReadonlyMap<Value, Value> {
  const { graph, name, next } = node
  const originals = [...node.outputs]
  const renamed = new Map<Value, Value>()
  graph.remove(node)
  for (const [index, original] of originals.entries()) {
    if (!original) continue
    const replacement = outputs[index]
    if (replacement) {
      const given = renamed.get(replacement) ?? replacement
      const producer = takeOver(original, given, next)
      if (!renamed.has(replacement)) renamed.set(replacement, original)
      producer.name = index === 0 && name !== '' ? name : original.name
    } else if (!original.isUsed) graph.removeValue(original)
  }
  return renamed
}

/** Makes the producer of `replacement` produce `original`; readers of `replacement` read `original`. */
function takeOver(original: Value, replacement: Value, next: Node | undefined): Node {
  const { graph } = original
  const { producer } = replacement
  if (!producer || producer.graph !== graph || isDeclared(replacement))
    return graph.insert({ opType: 'Identity' }, [replacement], [original], next)
  replacement.replaceUsesWith(original)
  producer.setOutput(producer.outputs.indexOf(replacement), original)
  graph.removeValue(replacement)
  return producer
}

/** A value others know by name: it was in the model before. */
function isDeclared(value: Value): boolean {
  return value.outputUses > 0 || value.origin !== undefined
}
