import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { Graph, Model, Tensor } from '../ir/index.ts'
import { ExternalPayload } from './data/external.ts'
import { documentOf } from './document.ts'

/**
 * Makes sure that all external data of a model is there, and gives its size in bytes. Throws a typed error for the first
 * tensor whose data is not.
 */
export function requireExternalData(model: Model): number {
  let bytes = 0
  for (const tensor of tensorsOf(model)) {
    // The range is what opens the file and checks its size.
    if (tensor.payload instanceof ExternalPayload) bytes += tensor.payload.range.byteLength
  }
  return bytes
}

/** The files that hold the external data of a model, in the order of their names; each may serve many tensors. */
export function externalFiles(model: Model): string[] {
  const document = documentOf(model)
  return [...(document?.locations ?? [])].sort().map((location) => join(document?.home ?? '', location))
}

/** The files that hold the external data of a model, with their sizes; null for one that is not there. */
export function dataFiles(model: Model): { readonly path: string; readonly bytes: number | null }[] {
  return externalFiles(model).map((path) => ({ path, bytes: sizeOf(path) }))
}

function sizeOf(path: string): number | null {
  try {
    const stat = statSync(path)
    return stat.isFile() ? stat.size : null
  } catch {
    return null
  }
}

function* tensorsOf(model: Model): Generator<Tensor> {
  for (const graph of model.graphs()) yield* initializersOf(graph)
  for (const node of documentOf(model)?.externalNodes ?? []) {
    for (const attribute of node.attributes.values()) {
      if (attribute.kind === 'tensor') yield attribute.value
      if (attribute.kind === 'tensors') yield* attribute.value
    }
  }
}

function* initializersOf(graph: Graph): Generator<Tensor> {
  for (const value of graph.values.values()) if (value.initializer) yield value.initializer
}
