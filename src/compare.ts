/** Two model files on the same data: outputs, and tensors between them, against tolerances. */
import type { Granularity, Outliers } from './calibrate/index.ts'
import { collect, outliersOf } from './calibrate/index.ts'
import { checkOptions } from './check-options.ts'
import type { Broken, Comparison, OutputSimilarity, Precision, Tolerance, Tolerances } from './compare/index.ts'
import {
  brokenBy,
  brokenByIntegers,
  coarser,
  compareLayers,
  compareModels,
  defaultTolerance,
  idleTop1,
  isConverted,
  precisionOf,
  toleranceFor,
  withinOf,
} from './compare/index.ts'
import type { DataOptions, DataSource } from './data/index.ts'
import { openData } from './data/index.ts'
import { compareInputs, compareOutputUnknown } from './errors.ts'
import type { Graph, Model } from './ir/index.ts'
import { closeModel, openModel, requireExternalData } from './onnx/index.ts'
import { compareKinds } from './option-kinds.ts'
import { brokenEntry, latencyEntry, layerEntry, outputEntry } from './report/comparison.ts'
import type { ComparisonDocument, OutlierFigures } from './report/index.ts'
import { countOperators, describeModel } from './report/index.ts'
import { surroundings } from './surroundings.ts'

/** What a comparison is doing. */
export type ComparePhase = 'comparing outputs' | 'looking for outliers' | 'matching tensors' | 'comparing tensors'

export interface CompareOptions extends DataOptions {
  /** What the samples are read from: a file, a folder or a module; nothing with `synthetic`. */
  readonly data?: string | undefined
  /** Compare every tensor that both models have, not only outputs. */
  readonly layers?: boolean | undefined
  /** Take times too. */
  readonly bench?: boolean | undefined
  /** By output, `''` for all that are not named; what is given takes the place of every default for that output. */
  readonly tolerances?: Tolerances | undefined
  /** Classes of a distribution that count as the best ones. Default 5. */
  readonly top?: number | undefined
  /** Look for outliers of activations, which runs both models once more. Default true. */
  readonly outliers?: boolean | undefined
  readonly onProgress?: ((phase: ComparePhase, done: number, total: number) => void) | undefined
}

/**
 * Runs two models on the same samples, on one thread, and says how near each output of the second comes to that of the
 * first, and with `layers` which operator it is that moves away. Memory grows with neither samples nor layers.
 *
 * A broken tolerance is `ok: false` in the document. Throws `compare-inputs` where the second model needs an input that the
 * first does not have, and as data and sessions do.
 */
export async function compare(
  first: string,
  second: string,
  options: CompareOptions = {},
): Promise<ComparisonDocument> {
  checkOptions(options, compareKinds)
  const a = openModel(first)
  try {
    const b = openModel(second)
    try {
      requireExternalData(a)
      requireExternalData(b)
      return await compareOpened([first, a], [second, b], options)
    } finally {
      closeModel(b)
    }
  } finally {
    closeModel(a)
  }
}

type Opened = readonly [path: string, model: Model]

async function compareOpened([first, a]: Opened, [second, b]: Opened, options: CompareOptions) {
  const operators = { before: countOperators(a), after: countOperators(b) }
  const { tolerances = {}, signal, onProgress } = options
  checkInputs(a, b)
  checkNames(a, tolerances)
  const data = await openData(options.data, a, options)
  const precision = coarser(precisionOf(a), precisionOf(b))
  const usual = defaultTolerance(precision, isConverted(a) !== isConverted(b))
  const ofOutput = ({ name, agreement }: OutputSimilarity) =>
    toleranceFor(name, tolerances, usual, agreement !== undefined)
  const outputs = await compareModels(first, second, data.samples(), {
    ...{ timed: options.bench, top: options.top, signal },
    within: (name) => withinOf(toleranceFor(name, tolerances, usual)),
    onProgress: (done) => onProgress?.('comparing outputs', done, data.size),
  })
  const layers = options.layers
    ? await compareLayers(a, b, data, {
        signal,
        onPairs: () => onProgress?.('matching tensors', 0, 1),
        onProgress: (done, total) => onProgress?.('comparing tensors', done, total),
      })
    : undefined
  const broken = [...brokenOf(outputs, ofOutput), ...idleTop1(outputs.outputs, tolerances)]
  return documentOf({
    models: [await describeModel(a, {}), await describeModel(b, {})],
    ...{ outputs, ofOutput, precision, data, broken, layers, operators },
    outliers: (options.outliers ?? true) ? await outliersOfBoth(a, b, data, options) : null,
  })
}

interface Facts {
  readonly models: readonly [ComparisonDocument['model'], ComparisonDocument['model']]
  readonly outputs: Comparison
  readonly ofOutput: (output: OutputSimilarity) => Tolerance
  readonly precision: Precision
  readonly data: DataSource
  readonly broken: readonly Broken[]
  readonly layers: Awaited<ReturnType<typeof compareLayers>> | undefined
  readonly outliers: ComparisonDocument['outliers']
  readonly operators: ComparisonDocument['operators']
}

function documentOf(facts: Facts): ComparisonDocument {
  const { models, outputs, ofOutput, data, layers } = facts
  const entry = (output: OutputSimilarity) => outputEntry(output, ofOutput(output), false)
  const integer = (output: OutputSimilarity) => outputEntry(output, ofOutput(output), true)
  return {
    ...{ schema: 1, command: 'compare', model: models[0], other: models[1], samples: outputs.samples },
    data: { hash: data.manifest.hash, synthetic: data.manifest.synthetic },
    precision: facts.precision,
    outputs: [...outputs.outputs.map(entry), ...outputs.integers.map(integer)],
    layers: layers?.layers.map(layerEntry) ?? null,
    ...{ outliers: facts.outliers, operators: facts.operators, environment: surroundings() },
    latency: latencyEntry(outputs),
    broken: facts.broken.map(brokenEntry),
    ok: facts.broken.length === 0,
    notes: [
      ...data.notes,
      ...outputs.uncompared.map(({ name, reason }) => `output "${name}" was not compared: ${reason}`),
      ...(layers?.notes ?? []),
    ],
  }
}

function brokenOf(comparison: Comparison, ofOutput: (output: OutputSimilarity) => Tolerance): Broken[] {
  const missing = comparison.uncompared.filter(({ reason }) => reason.startsWith('the second'))
  return [
    ...missing.map(({ name }) => ({ output: name, kind: 'missing', limit: 0, actual: 0 }) as const),
    ...comparison.outputs.flatMap((output) => brokenBy(output, ofOutput(output))),
    ...comparison.integers.flatMap((output) => brokenByIntegers(output, ofOutput(output))),
  ]
}

/** The second model is fed with what the first one is. */
function checkInputs(a: Model, b: Model): void {
  const fed = (model: Model) => model.graph.inputs.filter(({ initializer }) => initializer === undefined)
  const known = new Set(fed(a).map(({ name }) => name))
  const missing = fed(b).filter(({ name }) => !known.has(name))
  if (missing.length > 0) throw compareInputs(missing.map(({ name }) => name))
}

/** A tolerance for an output that is not there would be kept by nobody. */
function checkNames(a: Model, tolerances: Tolerances): void {
  const names = a.graph.outputs.map(({ name }) => name)
  const unknown = Object.keys(tolerances).find((name) => name !== '' && !names.includes(name))
  if (unknown !== undefined) throw compareOutputUnknown(unknown, names)
}

/** What a kurtosis is of: that of the paper, a sequence. */
const granularity: Granularity = 'sequence'

async function outliersOfBoth(a: Model, b: Model, data: DataSource, options: CompareOptions) {
  const first = await outliersIn(a, data, options, 0)
  const second = await outliersIn(b, data, options, 1)
  if (first.size === 0 && second.size === 0) return null
  const readBy = byReader(b, second.keys())
  const layers = Array.from(first, ([value, before]) => {
    const same = second.has(value) ? value : readBy(readersOf(a.graph, value))
    return { value, before, after: (same === undefined ? undefined : second.get(same)) ?? null }
  })
  return { first: figuresOf([...first.values()]), second: figuresOf([...second.values()]), layers }
}

/** Outliers of every value that weights are multiplied with. */
async function outliersIn(
  model: Model,
  data: DataSource,
  { signal, onProgress }: CompareOptions,
  round: 0 | 1,
): Promise<ReadonlyMap<string, Outliers>> {
  const table = await collect(model, data, {
    ...{ histograms: false, moments: granularity, onBadSample: 'skip', session: { threads: 1 }, signal },
    onProgress: ({ done, total }) => onProgress?.('looking for outliers', round * total + done, 2 * total),
  })
  return new Map(
    [...table.values].flatMap(([name, { moments }]) => (moments ? [[name, outliersOf(moments, granularity)]] : [])),
  )
}

/** Values by the products that read them: quantization gives the same operand another name. */
function byReader({ graph }: Model, values: Iterable<string>): (readers: readonly string[]) => string | undefined {
  const named = Array.from(values, (name) => readersOf(graph, name).map((reader) => [reader, name] as const))
  const found = new Map(named.flat())
  return (readers) => readers.map((reader) => found.get(reader)).find((name) => name !== undefined)
}

/** Names of the nodes that read a value. */
function readersOf(graph: Graph, name: string): string[] {
  return (graph.values.get(name)?.uses ?? []).map(({ node }) => node.name).filter((reader) => reader !== '')
}

function figuresOf(all: readonly Outliers[]): OutlierFigures | null {
  if (all.length === 0) return null
  return {
    kurtosis: all.reduce((sum, { kurtosis }) => sum + kurtosis, 0) / all.length,
    infinityNorm: all.reduce((max, { infinityNorm }) => Math.max(max, infinityNorm), 0),
  }
}
