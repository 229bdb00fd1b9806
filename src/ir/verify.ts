/**
 * The invariants of the IR. `verify(model)` runs after every pipeline stage.
 *
 * 1. Edges are recorded on both ends: input i of a node is v exactly when v's uses hold (node, i).
 * 2. A value has at most one producer, and its producer lists it as an output; inputs and initializers have none.
 * 3. A node reads only values of its own graph or of an enclosing one.
 * 4. A value is produced before it is read (graphs are topologically sorted, as ONNX requires). Some exporters write
 *    unsorted graphs that runtimes sort themselves: there only the existence of a producer is checked.
 * 5. Graph outputs are values of the graph or of an enclosing one, and are produced.
 * 6. No two values of nested scopes share a name while both are visible.
 * 7. Every domain in use is imported, or is defined by a model-local function.
 */
import { bug } from '../errors.ts'
import type { Graph } from './graph.ts'
import type { Model } from './model.ts'
import type { Node } from './node.ts'
import type { Value } from './value.ts'

/** Throws a bug error that names the first broken invariant. `sorted` says whether the model was sorted when it was read. */
export function verify(model: Model, sorted = true): void {
  verifyGraph(model.graph, new Set(), model.opsetImports, sorted)
  for (const fn of model.functions) verifyGraph(fn.body, new Set(), fn.opsetImports, sorted)
}

/** Whether every value is produced before it is read, in every graph. */
export function isSorted(model: Model): boolean {
  for (const graph of model.graphs()) {
    const seen = new Set<Node>()
    for (const node of graph.nodes()) {
      for (const used of [node, ...nodesWithin(node)])
        for (const input of used.inputs) if (input?.producer?.graph === graph && !seen.has(input.producer)) return false
      seen.add(node)
    }
  }
  return true
}

function* nodesWithin(node: Node): Generator<Node> {
  for (const graph of node.subgraphs) for (const nested of graph.withNested()) yield* nested.nodes()
}

function verifyGraph(
  graph: Graph,
  outer: ReadonlySet<Value>,
  imports: ReadonlyMap<string, number>,
  sorted: boolean,
): void {
  const ready = new Set(outer)
  const uses = new Uses()
  for (const value of graph.inputs) ready.add(value)
  if (!sorted) for (const node of graph.nodes()) for (const value of node.outputs) if (value) ready.add(value)
  for (const value of graph.values.values()) {
    if (value.initializer) ready.add(value)
    if (value.producer && !value.producer.outputs.includes(value)) fail('is not an output of its producer', value)
    if (value.producer && (value.isInput || value.initializer)) fail('has two producers', value)
  }
  for (const node of graph.nodes()) {
    for (const [index, input] of node.inputs.entries()) {
      if (input === undefined) continue
      if (!ready.has(input)) failNode(`reads "${input.name}" before it is produced or from a scope it cannot see`, node)
      if (!uses.of(input).get(node)?.includes(index)) fail('does not know a use', input)
    }
    if (!imports.has(node.domain)) failNode(`is of domain "${node.domain}", which is not imported`, node)
    for (const nested of node.subgraphs) verifyGraph(nested, ready, imports, sorted)
    for (const output of node.outputs) {
      if (output === undefined) continue
      if (output.producer !== node) fail('does not know its producer', output)
      if (output.graph !== graph) fail('is produced in a graph that does not own it', output)
      ready.add(output)
    }
  }
  for (const output of graph.outputs) if (!ready.has(output)) fail('is a graph output that nothing produces', output)
}

/** The uses of values by node: a weight may be read by every layer. */
class Uses {
  readonly #byValue = new Map<Value, Map<Node, number[]>>()

  of(value: Value): ReadonlyMap<Node, readonly number[]> {
    const known = this.#byValue.get(value)
    if (known) return known
    const byNode = new Map<Node, number[]>()
    for (const { node, index } of value.uses) {
      const indices = byNode.get(node)
      if (indices) indices.push(index)
      else byNode.set(node, [index])
    }
    this.#byValue.set(value, byNode)
    return byNode
  }
}

function fail(what: string, value: Value): never {
  throw bug(`invariant broken: value "${value.name}" ${what}`, { value: value.name })
}

function failNode(what: string, node: Node): never {
  throw bug(`invariant broken: node "${node.label}" ${what}`, { node: node.label })
}
