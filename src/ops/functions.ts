import type { Graph, Model, ModelFunction, Node } from '../ir/index.ts'

/** Which nodes of a model call which of its local functions. A function that leads back to itself counts as an unknown operator. */
export class FunctionIndex {
  #calls: Map<ModelFunction, Node[]> | undefined
  #functions: Map<string, ModelFunction> | undefined

  /** The model-local function a node calls. */
  callee(node: Node): ModelFunction | undefined {
    this.#functions ??= indexFunctions(node.graph.model)
    if (this.#functions.size === 0) return undefined
    return this.#functions.get(functionKey(node.domain, node.opType, node.overload))
  }

  /** Every node that calls the function, in file order. */
  callers(fn: ModelFunction): readonly Node[] {
    this.#calls ??= this.#indexCalls(fn.model)
    return this.#calls.get(fn) ?? []
  }

  #indexCalls(model: Model): Map<ModelFunction, Node[]> {
    const calls = new Map<ModelFunction, Node[]>()
    for (const graph of model.graphs()) {
      for (const node of graph.nodes()) {
        const fn = this.callee(node)
        if (!fn) continue
        const known = calls.get(fn)
        if (known) known.push(node)
        else calls.set(fn, [node])
      }
    }
    return calls
  }
}

/** The model-local function whose body holds the graph. */
export function functionOf(graph: Graph): ModelFunction | undefined {
  const owner = graph.outermost().owner
  return owner && 'body' in owner ? owner : undefined
}

function indexFunctions(model: Model | undefined): Map<string, ModelFunction> {
  const functions = model?.functions ?? []
  const index = new Map(functions.map((fn) => [functionKey(fn.domain, fn.name, fn.overload), fn]))
  for (const key of model && functions.length > 0 ? recursiveIn(model, index) : []) index.delete(key)
  return index
}

/** Functions that call themselves, by way of others too. No edit makes one, so a model is searched once. */
const recursive = new WeakMap<Model, readonly string[]>()

function recursiveIn(model: Model, index: ReadonlyMap<string, ModelFunction>): readonly string[] {
  const known = recursive.get(model)
  if (known) return known
  // What calls nothing that is left is taken away; cycles, and what leads to one, stay.
  const calls = new Map<string, Set<string>>()
  const callers = new Map<string, string[]>()
  for (const [key, fn] of index) {
    const called = new Set(calledBy(fn.body).filter((other) => index.has(other)))
    calls.set(key, called)
    for (const other of called) callers.set(other, (callers.get(other) ?? []).concat(key))
  }
  const done = [...calls].filter(([, called]) => called.size === 0).map(([key]) => key)
  for (let key = done.pop(); key !== undefined; key = done.pop()) {
    calls.delete(key)
    for (const caller of callers.get(key) ?? []) {
      const called = calls.get(caller)
      called?.delete(key)
      if (called?.size === 0) done.push(caller)
    }
  }
  const found = [...calls.keys()]
  recursive.set(model, found)
  return found
}

function calledBy(body: Graph): string[] {
  return [...body.withNested()].flatMap((graph) =>
    Array.from(graph.nodes(), (node) => functionKey(node.domain, node.opType, node.overload)),
  )
}

function functionKey(domain: string, name: string, overload: string): string {
  return `${domain === 'ai.onnx' ? '' : domain}\n${name}\n${overload}`
}
