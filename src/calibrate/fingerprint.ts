import { createHash } from 'node:crypto'
import type { Graph, Model, Tensor } from '../ir/index.ts'
import { printModel } from '../onnx/index.ts'

/** Bytes of each end of a weight that count. */
const sample = 64

/**
 * A hash of the graph of a model and of samples of its weights: models that calculate different things differ in it, and no
 * more than the first and last bytes of a weight are read.
 */
export function fingerprintOf(model: Model): string {
  const digest = createHash('sha256').update(printModel(model))
  for (const graph of model.graphs()) for (const tensor of weightsOf(graph)) digest.update(endsOf(tensor))
  return digest.digest('hex')
}

function* weightsOf(graph: Graph): Generator<Tensor> {
  for (const value of graph.values.values()) if (value.initializer) yield value.initializer
  for (const node of graph.nodes()) {
    if (node.op !== 'Constant') continue
    for (const attribute of node.attributes.values()) if (attribute.kind === 'tensor') yield attribute.value
  }
}

function endsOf({ payload }: Tensor): Uint8Array {
  if (payload === undefined) return new Uint8Array(0)
  const length = Math.min(sample, payload.byteLength)
  return Buffer.concat([payload.read(0, length), payload.read(payload.byteLength - length, length)])
}
