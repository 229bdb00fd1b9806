import type { Attributes, Node, Value } from '../../ir/index.ts'
import { attr } from '../../ir/index.ts'

/** Puts another node in the place of a node, with the same name, inputs, attributes and outputs where nothing else is said. */
export function replaceNode(
  node: Node,
  change: { readonly opType?: string; readonly outputs?: readonly (Value | undefined)[] },
): Node {
  const { graph, next, name, docString, metadata, attributes } = node
  const [inputs, outputs] = [[...node.inputs], [...node.outputs]]
  graph.remove(node)
  const { opType = node.opType, outputs: kept = outputs } = change
  for (const value of outputs) if (value && !kept.includes(value)) graph.removeValue(value)
  return graph.insert({ name, opType, attributes, docString, metadata }, inputs, kept, next)
}

/** Gives a node its input as a matrix, cut at an axis, and its result the shape the input had. */
export function coerceToMatrix(node: Node, axis: number): void {
  const { graph, next } = node
  const [input, output] = [node.input(0), node.output()]
  if (!input || !output) return
  const [shape, matrix, result] = ['Shape', 'Flatten', 'matrix'].map((name) => graph.newValue(`${output.name}/${name}`))
  const attributes: Attributes = new Map([['axis', attr.int(axis)]])
  graph.insert({ name: `${output.name}/Shape`, opType: 'Shape' }, [input], [shape], node)
  graph.insert({ name: `${output.name}/Flatten`, opType: 'Flatten', attributes }, [input], [matrix], node)
  node.setInput(0, matrix)
  node.setOutput(0, result)
  graph.insert({ name: `${output.name}/Reshape`, opType: 'Reshape' }, [result, shape], [output], next)
}
