import { withEdited } from '../calibrate/index.ts'
import type { DataSource } from '../data/index.ts'
import { interrupted } from '../errors.ts'
import type { Model, Node } from '../ir/index.ts'
import { dtypes } from '../ir/index.ts'
import type { SessionGroup } from '../runtime/index.ts'
import { feedsFor, openSession, openTogether } from '../runtime/index.ts'
import type { Distance, Plan } from './distances.js'
import { freeMemory } from './distances.js'
import type { FedInput } from './parts.ts'
import { cutOut, giveOut, giveShapes } from './parts.ts'
import type { Segment } from './segments.ts'
import { grouped, segmentsOf } from './segments.ts'
import type { SharedValue } from './shared-values.ts'
import { sharedValues } from './shared-values.ts'
import type { Similarity } from './similarity.ts'
import { Resemblance } from './similarity.ts'

/** How near a tensor of the second model comes to that of the first. */
export interface LayerSimilarity {
  /** Its name in the second model. */
  readonly value: string
  /** What makes it there, and what else lies between it and the tensors that both have. */
  readonly node: Node
  readonly chain: readonly Node[]
  /** When these operators are fed with the tensors of the first model. */
  readonly introduced: Similarity
  /** When each model runs by itself. */
  readonly cumulative: Similarity
}

export interface LayerComparison {
  /** The one that introduces the most noise first, relative to its tensor. */
  readonly layers: readonly LayerSimilarity[]
  readonly notes: readonly string[]
}

export interface LayerOptions {
  readonly signal?: AbortSignal | undefined
  /** When the tensors that both have are known. */
  readonly onPairs?: ((count: number) => void) | undefined
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

/**
 * Compares every tensor that two models share on the same data, on one thread: as each model computes it, and as the
 * second computes it of the tensors of the first. Tensors are run in groups, so memory grows with neither samples nor
 * layers.
 *
 * A tensor whose error the next operators undo is another quantity in the second model, such as one that quantization
 * scaled: it is not compared, and belongs to the chain of operators that ends at the next one.
 */
export async function compareLayers(
  a: Model,
  b: Model,
  data: Pick<DataSource, 'samples' | 'size'>,
  options: LayerOptions = {},
): Promise<LayerComparison> {
  const candidates = sharedValues(a, b)
  options.onPairs?.(candidates.length)
  const { shared, sizes } = await alikeOnFirst(a, b, candidates, data, options)
  const sizeOf = (value: SharedValue) => (sizes.get(value) ?? 0) * 4
  const first = { samples: () => firstOf(data), size: 1 }
  let [segments, other] = [segmentsOf(b, shared), 0]
  let rows = await run(a, b, grouped(segments, sizeOf), first, options)
  for (let round = 0; round < mostRounds; round++) {
    const undone = undoneBy(rows)
    if (undone.size === 0) break
    other += undone.size
    segments = segmentsOf(
      b,
      segments.map(({ value }) => value).filter((value) => !undone.has(value)),
    )
    rows = await run(a, b, grouped(segments, sizeOf), first, options)
  }
  if (data.size > 1) rows = await run(a, b, grouped(segments, sizeOf), data, options)
  const byValue = rowsByValue(rows)
  const noise = new Map(rows.map((row) => [row, noiseOf(row, 'introduced', byValue)]))
  const layers = rows.toSorted((x, y) => (noise.get(y) as number) - (noise.get(x) as number)).map(layerOf)
  return { layers, notes: notesOf(candidates.length - shared.length, other) }
}

/** Chains of scaled tensors are found from the end. */
const mostRounds = 4

function notesOf(unlike: number, other: number): string[] {
  return [
    ...(unlike > 0
      ? [`${unlike} tensors of one name have another shape in the second model, and were not compared`]
      : []),
    ...(other > 0 ? [`${other} tensors are scaled in the second model and scaled back, and were not compared`] : []),
  ]
}

async function* firstOf(data: Pick<DataSource, 'samples'>) {
  for await (const sample of data.samples()) {
    yield sample
    return
  }
}

/** The shared values that have the same shape on the first sample, and how many elements those have. */
async function alikeOnFirst(
  a: Model,
  b: Model,
  candidates: readonly SharedValue[],
  data: Pick<DataSource, 'samples'>,
  options: LayerOptions,
) {
  const shapesA = await shapesIn(
    a,
    candidates.map((value) => value.a),
    data,
    options,
  )
  const shapesB = await shapesIn(
    b,
    candidates.map((value) => value.b),
    data,
    options,
  )
  const shared = candidates.filter((_, i) => String(shapesA[i]) === String(shapesB[i]))
  const size = (dims: readonly number[] = []) => dims.reduce((product, dim) => product * dim, 1)
  return { shared, sizes: new Map(candidates.map((value, i) => [value, size(shapesA[i])])) }
}

function shapesIn(model: Model, names: readonly string[], data: Pick<DataSource, 'samples'>, { signal }: LayerOptions) {
  return withEdited(
    model,
    (copy) => giveShapes(copy, names),
    async (path, outputs) => {
      const session = await openSession(path, sessionOptions(signal))
      try {
        for await (const { feeds } of firstOf(data)) {
          const shapes = await session.run(feedsFor(session, feeds))
          return outputs.map((name) => shapes[name]?.toNumbers() ?? [])
        }
        return []
      } finally {
        await session.close()
      }
    },
  )
}

interface Row {
  readonly segment: Segment
  readonly introduced: Resemblance
  readonly cumulative: Resemblance
  samples: number
}

async function run(
  a: Model,
  b: Model,
  groups: readonly (readonly Segment[])[],
  data: Pick<DataSource, 'samples' | 'size'>,
  options: LayerOptions,
): Promise<Row[]> {
  const all: Row[] = []
  for (const [index, segments] of groups.entries()) {
    const rows = segments.map(
      (segment): Row => ({ segment, introduced: new Resemblance(), cumulative: new Resemblance(), samples: 0 }),
    )
    let done = 0
    await withGroup(a, b, segments, options.signal, async (group, plan) => {
      for await (const { feeds } of data.samples()) {
        if (options.signal?.aborted) throw interrupted()
        const seen = (await group.work(feeds, plan)) as readonly Seen[]
        for (const [i, row] of rows.entries()) add(row, seen[i] as Seen)
        options.onProgress?.(index * data.size + ++done, groups.length * data.size)
      }
    })
    all.push(...rows)
    freeMemory()
  }
  return all
}

interface Seen {
  readonly cumulative: Distance | undefined
  readonly introduced: Distance | undefined
}

function add(row: Row, { cumulative, introduced }: Seen): void {
  row.samples++
  row.cumulative.addDistance(cumulative)
  row.introduced.addDistance(introduced)
}

/** Gives `use` both models and the parts of the second one, loaded in one process, and what to run them by. */
function withGroup(
  a: Model,
  b: Model,
  segments: readonly Segment[],
  signal: AbortSignal | undefined,
  use: (group: SessionGroup, plan: Plan) => Promise<void>,
): Promise<void> {
  const wanted = segments.map(({ value }) => value)
  const read = [...new Set(segments.flatMap(({ reads }) => reads))]
  const fromA = [...new Set([...wanted, ...read])].map((value) => ({ name: value.a, dtype: value.dtypeA }))
  const fromB = wanted.map((value) => ({ name: value.b, dtype: value.dtypeB }))
  return withEdited(
    a,
    (copy) => giveOut(copy, fromA),
    (pathA) =>
      withEdited(
        b,
        (copy) => giveOut(copy, fromB),
        (pathB) =>
          withEdited(
            b,
            (copy) => cutOut(copy, segments),
            async (pathCut, fed) => {
              const reducer = new URL('./distances.js', import.meta.url)
              const group = await openTogether([pathA, pathB, pathCut], {
                ...sessionOptions(signal),
                arena: false,
                reducer,
              })
              try {
                await use(group, planOf(group, wanted, fed))
              } finally {
                await group.close()
              }
            },
          ),
      ),
  )
}

function planOf({ members }: SessionGroup, wanted: readonly SharedValue[], fed: readonly FedInput[]): Plan {
  const [a, b, cut] = members
  const added = new Set(fed.map(({ input }) => input))
  return {
    inputsA: a?.inputs ?? [],
    inputsB: b?.inputs ?? [],
    inputsCut: cut?.inputs.filter((name) => !added.has(name)) ?? [],
    fetchesA: a?.outputs ?? [],
    fetchesB: b?.outputs ?? [],
    fetchesCut: cut?.outputs ?? [],
    fed: fed.map(({ value, input }) => ({ from: value.a, to: input })),
    pairs: wanted.map((value) => ({ a: value.a, b: value.b })),
  }
}

/** One thread: the order of sums, and with it the last bits, are the same in every run. */
function sessionOptions(signal: AbortSignal | undefined) {
  return { threads: 1, ...(signal && { signal }) } as const
}

function rowsByValue(rows: readonly Row[]): ReadonlyMap<SharedValue, Row> {
  return new Map(rows.map((row) => [row.segment.value, row]))
}

/** Rounding of what an operator reads shows in what it gives, however small that is. */
function noiseOf(row: Row, kind: 'introduced' | 'cumulative', byValue: ReadonlyMap<SharedValue, Row>): number {
  const { reads, value } = row.segment
  const largest = reads.reduce((most, read) => Math.max(most, byValue.get(read)?.cumulative.largest ?? 0), 0)
  const half = value.dtypeA === dtypes.float16 || value.dtypeB === dtypes.float16
  return row[kind].noiseAbove(rounding * (half ? 2 ** -11 : 2 ** -24) * largest)
}

/** Units in the last place that sums of many terms may lose. */
const rounding = 64

/** Noise of an operator below this is never another quantity. */
const leastUndone = 1e-4
/** What the errors of several operators leave of each other by chance. */
const chance = 10
/** Noise that is no rounding, whatever comes of it. */
const clear = 0.01

/** Values that hold another quantity in the second model: fed with that of the first, what reads them goes wrong. */
function undoneBy(rows: readonly Row[]): ReadonlySet<SharedValue> {
  const byValue = rowsByValue(rows)
  const noise = new Map(
    rows.map((row) => [row, [noiseOf(row, 'introduced', byValue), noiseOf(row, 'cumulative', byValue)] as const]),
  )
  const undone = new Set<SharedValue>()
  const explains = (row: Row | undefined, [introduced, cumulative]: readonly [number, number]): row is Row => {
    const least = Math.max(leastUndone, Math.min(introduced / chance, clear), 3 * cumulative)
    return ((row && noise.get(row)?.[1]) ?? 0) > least
  }
  for (const row of rows) {
    const errors = noise.get(row) as readonly [number, number]
    const [introduced, cumulative] = errors
    if (introduced < leastUndone || introduced < chance * cumulative) continue
    const open = row.segment.reads.map((value) => byValue.get(value))
    for (let at = open.pop(); open.length > 0 || at !== undefined; at = open.pop()) {
      if (!explains(at, errors) || undone.has(at.segment.value)) continue
      undone.add(at.segment.value)
      open.push(...at.segment.reads.map((value) => byValue.get(value)))
    }
  }
  return undone
}

function layerOf({ segment, introduced, cumulative, samples }: Row): LayerSimilarity {
  return {
    value: segment.value.b,
    ...{ node: segment.node, chain: segment.chain },
    ...{ introduced: introduced.result(samples), cumulative: cumulative.result(samples) },
  }
}
