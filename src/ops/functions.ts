import type { Graph, Model, ModelFunction, Node } from '../ir/index.ts'

/** Which nodes of a model call which of its local functions. */
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
  return new Map((model?.functions ?? []).map((fn) => [functionKey(fn.domain, fn.name, fn.overload), fn]))
}

function functionKey(domain: string, name: string, overload: string): string {
  return `${domain === 'ai.onnx' ? '' : domain}\n${name}\n${overload}`
}
