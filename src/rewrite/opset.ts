import type { Graph, Model } from '../ir/index.ts'
import { functionOf } from '../ops/index.ts'

/** Domain of our own operators. */
export const ownDomain = 'outeffhop'

/** Default-domain opset the nodes of a graph are written in: the function's own imports inside a function body. */
export function opsetOf(graph: Graph): number {
  return functionOf(graph)?.opsetImports.get('') ?? graph.model?.opset ?? 1
}

/** Imports a domain where the nodes of a graph need it: the model, or the function the graph is in. */
export function importDomain(graph: Graph, domain: string, version = 1): void {
  const fn = functionOf(graph)
  const model = graph.model
  if (fn && !fn.opsetImports.has(domain)) fn.opsetImports.set(domain, version)
  else if (!fn && model && !model.opsetImports.has(domain)) model.setOpset(domain, version)
}

/** Takes our domain out of the imports again where no node and no function is of it. */
export function dropUnusedImport(model: Model): void {
  const used = (graph: Graph): boolean => {
    for (const nested of graph.withNested())
      for (const node of nested.nodes()) if (node.domain === ownDomain) return true
    return false
  }
  for (const fn of model.functions) if (!used(fn.body)) fn.opsetImports.delete(ownDomain)
  if (!used(model.graph) && !model.functions.some((fn) => fn.domain === ownDomain)) model.removeOpset(ownDomain)
}
