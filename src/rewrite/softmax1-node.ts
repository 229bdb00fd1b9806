import type { Heads, Site } from '../attention/index.ts'
import { sinkHeads } from '../errors.ts'
import type { DType, Node, Value } from '../ir/index.ts'
import { attr, dtypes, Tensor } from '../ir/index.ts'
import { dtypeOf } from '../ops/index.ts'
import { Ops } from './ops.ts'
import { importDomain, opsetOf, ownDomain } from './opset.ts'

/**
 * The internal operator between the stages: `outeffhop::Softmax1(x, sink?)` with attribute `axis`.
 *
 * `sink` is a double initializer: one logit, or one per head with `heads_axis` (negative axis of x) and `heads_merged`
 * (1 when that axis is B*H with heads inside). It never leaves the pipeline.
 */
export const softmax1Op = { domain: ownDomain, opType: 'Softmax1' } as const

export interface Softmax1Sink {
  readonly values: readonly number[]
  readonly heads: Heads | undefined
}

export function isSoftmax1(node: Node): boolean {
  return node.domain === softmax1Op.domain && node.opType === softmax1Op.opType
}

/** Inserts a Softmax1 that takes over the output of a site; the nodes of the site's spelling lose it. */
export function insertSoftmax1(site: Site, sink: number | readonly number[]): Node {
  const { graph, node, output } = site
  const values = typeof sink === 'number' ? [sink] : sink
  const perHead = values.length > 1 && values.some((s) => s !== values[0])
  if (perHead && site.heads?.count !== values.length) throw sinkHeads(node.label, values.length, site.heads?.count)
  const zero = !perHead && values[0] === 0
  const sinkValue = zero ? undefined : graph.newValue(`${output.name}/sink`)
  if (sinkValue)
    sinkValue.initializer = Tensor.of(
      dtypes.double,
      perHead ? [values.length] : [],
      perHead ? values : values.slice(0, 1),
      sinkValue.name,
    )
  const attributes = new Map([['axis', attr.int(site.axis)]])
  if (perHead && site.heads) {
    attributes.set('heads_axis', attr.int(site.heads.axis))
    attributes.set('heads_merged', attr.int(site.heads.merged ? 1 : 0))
  }
  const scores = inTypeOf(site)
  const before = output.producer ?? node
  before.setOutput(before.outputs.indexOf(output), undefined)
  if (site.context) dropDivision(node, site.context)
  importDomain(graph, ownDomain)
  return graph.insert(
    { name: node.name, ...softmax1Op, attributes, docString: node.docString, metadata: node.metadata },
    sinkValue ? [scores, sinkValue] : [scores],
    [output],
    before,
  )
}

/** Of probabilities the product with values is the context itself: it takes the name of what it was divided to. */
function dropDivision(division: Node, product: Value): void {
  const [context, producer] = [division.output(), product.producer]
  if (!context || !producer) return
  division.setOutput(0, undefined)
  division.setInput(division.inputs.indexOf(product), undefined)
  producer.setOutput(producer.outputs.indexOf(product), context)
  product.graph.removeValue(product)
}

/** The scores in the type of the probabilities: a spelling may hold a Cast that goes with it. */
function inTypeOf({ input, output, graph, node }: Site): Value | undefined {
  const [from, to] = [input && dtypeOf(input), dtypeOf(output)]
  if (!input || from === undefined || to === undefined || from === to) return input
  return new Ops({
    graph,
    before: output.producer ?? node,
    name: node.name || output.name,
    opset: opsetOf(graph),
  }).Cast(input, to)
}

/** The sink of a Softmax1 node. */
export function sinkOf(node: Node): Softmax1Sink {
  const tensor = node.input(1)?.initializer
  const axis = node.int('heads_axis')
  const values = tensor ? tensor.toNumbers() : [0]
  const heads = axis === undefined ? undefined : { axis, count: values.length, merged: node.int('heads_merged') === 1 }
  return { values, heads }
}

/**
 * The sink as a value that broadcasts against x reduced over its axis: a scalar, or one logit per head.
 * Heads merged with the batch are tiled to the length of that axis.
 */
export function sinkValue(ops: Ops, sink: Softmax1Sink, x: Value, dtype: DType | undefined): Value {
  const { values, heads } = sink
  if (!heads) return ops.like(x, dtype, [], [values[0] as number])
  const dims = [values.length, ...Array.from({ length: -heads.axis - 1 }, () => 1)]
  const perHead = ops.like(x, dtype, dims, values)
  if (!heads.merged) return perHead
  const rank = dims.length
  const merged = ops.Slice(
    ops.Shape(x),
    [heads.axis],
    [heads.axis === -1 ? Number.MAX_SAFE_INTEGER : heads.axis + 1],
    [0],
  )
  const repeats = [ops.Div(merged, ops.ints([values.length]))]
  if (rank > 1) repeats.push(ops.ints(Array.from({ length: rank - 1 }, () => 1)))
  return ops.Tile(perHead, ops.Concat(repeats, 0))
}
