import type { Model, Node, Value } from '../ir/index.ts'
import type { SharedValue } from './shared-values.ts'

/** The operators of the second model between a shared value and the shared values it is made of. */
export interface Segment {
  readonly value: SharedValue
  /** What makes the value. */
  readonly node: Node
  /** All of them but constants, in order; the last one is `node`. */
  readonly chain: readonly Node[]
  /** Shared values they read. */
  readonly reads: readonly SharedValue[]
  /** Bytes of the constants they read. */
  readonly weights: number
}

/** A segment for every shared value. */
export function segmentsOf(model: Model, shared: readonly SharedValue[]): Segment[] {
  const { values } = model.graph
  const byValue = new Map(shared.map((value) => [values.get(value.b) as Value, value]))
  return Array.from(byValue, ([value, entry]) => {
    const node = value.producer as Node
    return { value: entry, node, ...closureOf(node, byValue) }
  })
}

function closureOf(end: Node, shared: ReadonlyMap<Value, SharedValue>) {
  const nodes = new Set([end])
  const reads = new Set<SharedValue>()
  const constants = new Set<Value>()
  // Nodes that are added on the way are visited too.
  for (const node of nodes) {
    for (const value of readsOf(node)) {
      const entry = shared.get(value)
      if (entry !== undefined) reads.add(entry)
      else if (value.producer) nodes.add(value.producer)
      else if (value.initializer) constants.add(value)
    }
  }
  const weights = [...constants].reduce((sum, { initializer }) => sum + (initializer?.payload?.byteLength ?? 0), 0)
  return { chain: [...nodes].filter(({ op }) => op !== 'Constant').reverse(), reads: [...reads], weights }
}

/** What a node reads of its graph, also inside of its nested graphs. */
function* readsOf(node: Node): Generator<Value> {
  for (const value of node.inputs) if (value) yield value
  for (const nested of node.subgraphs) {
    for (const graph of nested.withNested()) {
      const inner = [...graph.nodes()].flatMap(({ inputs }) => inputs)
      for (const value of [...inner, ...graph.outputs]) if (value?.graph === node.graph) yield value
    }
  }
}

/** Bytes of tensors that the runtime gives out at once, in each of the models, and of the weights that it copies. */
const mostBytes = 1 << 24
const mostWeights = 1 << 24

/** Segments in groups that are small enough to be run together; `bytesOf` says how much a shared value takes. */
export function grouped(segments: readonly Segment[], bytesOf: (value: SharedValue) => number): Segment[][] {
  const groups: Segment[][] = []
  let [held, weights] = [new Set<SharedValue>(), 0]
  for (const segment of segments) {
    const last = groups.at(-1)
    const more = new Set([...held, segment.value, ...segment.reads])
    const bytes = [...more].reduce((sum, value) => sum + bytesOf(value), 0)
    if (last !== undefined && bytes <= mostBytes && weights + segment.weights <= mostWeights) {
      last.push(segment)
      ;[held, weights] = [more, weights + segment.weights]
    } else {
      groups.push([segment])
      ;[held, weights] = [new Set([segment.value, ...segment.reads]), segment.weights]
    }
  }
  return groups
}
