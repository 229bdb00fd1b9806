import type { Heads } from '../attention/index.ts'
import type { Graph, Model, Value } from '../ir/index.ts'
import { dtypes } from '../ir/index.ts'
import { dtypeOf, rankOf } from '../ops/index.ts'
import { Ops } from '../rewrite/index.ts'
import type { Plan } from './elements.js'
import type { ChannelLayout, ObservedValue } from './observed.ts'
import { observedSites, observedValues } from './observed.ts'
import type { Granularity } from './observers/moments.ts'

export interface Watching {
  /** Every float that depends on the input, not only what quantization can need. */
  readonly all: boolean
  /** Count elements: what every method but min-max and moving average is made from. */
  readonly histograms: boolean
  /** Observe moments, of units of this kind. */
  readonly moments: Granularity | undefined
}

/** A value that is observed, and where its statistics are: maxima, minima and sums of `count` channels from `at` on. */
export interface WatchedValue {
  readonly name: string
  readonly at: number
  /** 1 where channels are not observed. */
  readonly count: number
  readonly channels: ChannelLayout | undefined
}

/** A site whose rows are observed. */
export interface WatchedSite {
  readonly node: string
  /** The name of the probabilities: the identity of a site. */
  readonly output: string
  readonly heads: Heads | undefined
}

/** What was added to a graph, and how to read what comes of it. */
export interface Instrumentation {
  readonly values: readonly WatchedValue[]
  readonly sites: readonly WatchedSite[]
  readonly fetches: readonly string[]
  /** For the reducer in the process of the runtime. */
  readonly plan: Plan
}

/**
 * Adds to the main graph what observes it. The graph reduces its own values, over everything but channels, and the numbers
 * of all values leave it as one vector: an output costs more than the node that made it. Of attention scores it gives
 * `L = max(x) - ln(max(softmax(x)))`, which needs no exponential. No shape is declared: a runtime may choose other kernels
 * where it knows more.
 */
export function instrument(model: Model, { all, histograms, moments }: Watching): Instrumentation {
  const gauge = new Gauge(model)
  // Sites first: they would be found differently in a graph with more readers.
  const attention = observedSites(model)
  const values = observedValues(model, all).map((observed) =>
    gauge.statisticsOf(observed, histograms || moments !== undefined),
  )
  const rows = attention.map((site) => gauge.logsumexp(site.input as Value, site.output, site.axis))
  const [statistics, shapes] = gauge.gathered()
  const elements = values.flatMap(({ watched: { at, count }, output }) =>
    output === undefined ? [] : [{ output, at, channels: count }],
  )
  const plan: Plan = {
    statistics,
    shapes,
    rows,
    histograms: histograms ? elements : [],
    moments: moments === undefined ? [] : elements.map(({ output }) => output),
    granularity: moments ?? 'tensor',
  }
  const fetched = elements.map(({ output }) => output)
  const fetches = [...new Set([statistics, shapes, ...rows, ...fetched])].filter((name) => name !== undefined)
  const sites = attention.map(({ node, output, heads }) => ({ node: node.label, output: output.name, heads }))
  return { values: values.map(({ watched }) => watched), sites, fetches, plan }
}

/** Builds the observing nodes at the end of a graph. */
class Gauge {
  readonly #graph: Graph
  readonly #op: Ops
  readonly #statistics: Value[] = []
  readonly #shapes: Value[] = []
  #next = 0

  constructor(model: Model) {
    this.#graph = model.graph
    this.#op = new Ops({ graph: model.graph, before: undefined, name: 'outeffhop/calibrate', opset: model.opset })
  }

  /** Extremes and sums of a value; `output` names an output with all of it where `fetch` asks for one. */
  statisticsOf({ value, channels }: ObservedValue, fetch: boolean): { watched: WatchedValue; output?: string } {
    const op = this.#op
    const x = dtypeOf(value) === dtypes.float ? value : op.Cast(value, dtypes.float)
    const [reduced, axes] = layOut(x, channels, op)
    const keep = channels === undefined
    this.#statistics.push(
      op.Reduce('Max', reduced, axes, keep),
      op.Reduce('Min', reduced, axes, keep),
      op.Reduce('Sum', reduced, axes, keep),
    )
    this.#shapes.push(op.Shape(reduced))
    const count = channels?.count ?? 1
    const watched = { name: value.name, at: this.#next, count, channels }
    this.#next += 3 * count
    return fetch ? { watched, output: this.#output(x) } : { watched }
  }

  logsumexp(scores: Value, probabilities: Value, axis: number): string {
    const op = this.#op
    const rank = rankOf(scores)
    const along = rank === undefined ? axis : rank + axis
    const l = op.Sub(op.ReduceMax(scores, along), op.Log(op.ReduceMax(probabilities, along)))
    return this.#output(dtypeOf(scores) === dtypes.float ? l : op.Cast(l, dtypes.float))
  }

  /** The vectors of all statistics and of all shapes. */
  gathered(): readonly [string | undefined, string | undefined] {
    if (this.#statistics.length === 0) return [undefined, undefined]
    return [
      this.#output(this.#op.Concat(this.#statistics, 0)),
      this.#output(this.#op.Concat(this.#shapes, 0), dtypes.int64),
    ]
  }

  #output(value: Value, dtype: number = dtypes.float): string {
    if (this.#graph.outputs.includes(value)) return value.name
    const output = value.isInput ? this.#op.Identity(value) : value
    if (output.type === undefined) output.type = { kind: 'tensor', dtype, shape: undefined }
    this.#graph.setOutput(this.#graph.outputs.length, output)
    return output.name
  }
}

/** The value as it is reduced, and the axes to reduce: all but the channels. */
function layOut(x: Value, channels: ChannelLayout | undefined, op: Ops): readonly [Value, readonly number[]] {
  if (channels === undefined) return [op.Reshape(x, op.ints([-1])), [0]]
  const { axis, count, rank } = channels
  if (axis === -1 || rank === undefined) return [op.Reshape(x, op.ints([-1, count])), [0]]
  return [x, Array.from({ length: rank }, (_, i) => i).filter((i) => i !== rank + axis)]
}
