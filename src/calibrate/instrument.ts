import type { Site } from '../attention/index.ts'
import type { Graph, Model, Value } from '../ir/index.ts'
import { dtypes, Tensor } from '../ir/index.ts'
import { dtypeOf, Facts } from '../ops/index.ts'
import type { Ops } from '../rewrite/index.ts'
import type { Plan } from './elements.js'
import type { ChannelLayout, ObservedValue } from './observed.ts'
import { observedSites, observedValues } from './observed.ts'
import type { Granularity } from './observers/moments.ts'
import { opsAtEnd } from './outlets.ts'
import type { WatchedSite } from './site-gauge.ts'
import { endOfSite, SiteGauge } from './site-gauge.ts'

export interface Watching {
  /** Every float that depends on the input, not only what quantization can need. */
  readonly all: boolean
  /** Count elements: what every method but min-max and moving average is made from. */
  readonly histograms: boolean
  /** Observe moments, of units of this kind. */
  readonly moments: Granularity | undefined
}

/**
 * A value that is observed. Its part of the vector begins at `at`: maxima, minima and sums of `count` channels, then the
 * `rank` sizes of the value as it was reduced.
 */
export interface WatchedValue {
  readonly name: string
  readonly at: number
  /** 1 where channels are not observed. */
  readonly count: number
  readonly rank: number
  readonly channels: ChannelLayout | undefined
  /** Which of the outputs with elements is its own; undefined where its elements stay in the graph. */
  readonly element: number | undefined
}

/** What was added to a graph, and how to read what comes of it: first the parts of the values, then those of the sites. */
export interface Instrumentation {
  readonly values: readonly WatchedValue[]
  readonly sites: readonly WatchedSite[]
  readonly fetches: readonly string[]
  /** For the reducer in the process of the runtime. */
  readonly plan: Plan
}

/**
 * Adds to the main graph what observes it. The graph reduces its own values, over everything but channels, and all numbers
 * leave it as one vector: an output costs more than the node that made it. L of the rows of attention comes out of nested
 * graphs and functions too. No shape is declared: a runtime may choose other kernels where it knows more.
 *
 * ONNX Runtime orders nodes depth first from the last one, inputs with the highest index first. So what observes the start
 * of the graph is added last, and the vector after it: every value is reduced as soon as it is there, and its memory is free
 * for the next.
 *
 * What leaves the graph as elements is in memory until a run ends, all of it together; `only` names the values whose elements
 * do. Default: all that are watched.
 */
export function instrument(
  model: Model,
  { all, histograms, moments }: Watching,
  only?: ReadonlySet<string>,
): Instrumentation {
  const facts = new Facts()
  // Sites first: they would be found differently in a graph with more readers.
  const attention = observedSites(model, facts)
  const gauge = new Gauge(model)
  const fetches = (name: string) => (histograms || moments !== undefined) && (only?.has(name) ?? true)
  const observed = observedValues(model, all)
  const position = new Map([...model.graph.nodes()].map((node, i) => [node, i] as const))
  const at = ({ producer }: Value) => (producer === undefined ? -1 : (position.get(producer) ?? -1))
  const watched = new Map<Site, WatchedSite[]>()
  const rows = new SiteGauge(attention, facts)
  const tasks = [
    ...observed.map((value) => ({
      at: at(value.value),
      run: () => gauge.statisticsOf(value, fetches(value.value.name)),
    })),
    ...attention.map((site) => ({ at: at(site.output), run: () => watched.set(site, rows.watch(site)) })),
  ]
  for (const task of tasks.toSorted((a, b) => b.at - a.at)) task.run()
  const sites = attention.flatMap((site) => watched.get(site) ?? [])
  const values = placed(observed, fetches)
  const vector = gauge.vector(
    observed.map(({ value }) => value),
    sites.flatMap((site) => rows.partOf(site) ?? []),
  )
  rows.finish()
  const elements = values
    .filter(({ element }) => element !== undefined)
    .map(({ name, at, count }) => ({ output: gauge.elementsOf(name), at, channels: count }))
  const plan: Plan = {
    vector,
    histograms: histograms ? elements : [],
    moments: moments === undefined ? [] : elements.map(({ output }) => output),
    granularity: moments ?? 'tensor',
  }
  const names = [...new Set([vector, ...elements.map(({ output }) => output)])].filter((name) => name !== undefined)
  return { values, sites, fetches: names, plan }
}

/** Where the parts of values begin. */
function placed(observed: readonly ObservedValue[], fetches: (name: string) => boolean): WatchedValue[] {
  let [next, elements] = [0, 0]
  return observed.map(({ value, channels }) => {
    const count = channels?.count ?? 1
    const rank = channels === undefined ? 1 : channels.axis === -1 ? 2 : (channels.rank ?? 2)
    const at = next
    next += 3 * count + rank
    const element = fetches(value.name) ? elements++ : undefined
    return { name: value.name, at, count, rank, channels, element }
  })
}

/** Builds the observing nodes of values at the end of a graph. */
class Gauge {
  readonly #graph: Graph
  readonly #op: Ops
  readonly #statistics = new Map<Value, Value>()
  /** By the name of a value: an output with its elements. */
  readonly #elements = new Map<string, string>()

  constructor(model: Model) {
    this.#graph = model.graph
    this.#op = opsAtEnd(model.graph)
  }

  /** Extremes and sums of a value, and an output with its elements where `fetch` asks for one. */
  statisticsOf({ value, channels }: ObservedValue, fetch: boolean): void {
    const op = this.#op
    const x = dtypeOf(value) === dtypes.float ? value : op.Cast(value, dtypes.float)
    const [reduced, axes] = layOut(x, channels, op)
    const keep = channels === undefined
    const extremes = [op.Reduce('Max', reduced, axes, keep), op.Reduce('Min', reduced, axes, keep)]
    const parts = [...extremes, op.Reduce('Sum', reduced, axes, keep), op.Cast(op.Shape(reduced), dtypes.float)]
    this.#statistics.set(value, op.Concat(parts, 0))
    if (fetch) this.#elements.set(value.name, this.#output(x))
  }

  /** The name of the output with all parts; `sites` are those of the sites. */
  vector(values: readonly Value[], sites: readonly Value[]): string | undefined {
    const op = this.#op
    const end = (): Value => op.constant(Tensor.of(dtypes.float, [1], [endOfSite]))
    const parts = [
      ...values.map((value) => this.#statistics.get(value) as Value),
      ...sites.flatMap((site) => [site, end()]),
    ]
    return parts.length === 0 ? undefined : this.#output(op.Concat(parts, 0))
  }

  elementsOf(name: string): string {
    return this.#elements.get(name) as string
  }

  #output(value: Value): string {
    if (this.#graph.outputs.includes(value)) return value.name
    const output = value.isInput ? this.#op.Identity(value) : value
    if (output.type === undefined) output.type = { kind: 'tensor', dtype: dtypes.float, shape: undefined }
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
