import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import type { ConvertError } from '../errors.ts'
import { dataBadSample, dataEmpty, dataNoneLeft, dataNotFinite, interrupted, usage } from '../errors.ts'
import type { Model } from '../ir/index.ts'
import type { Feeds } from '../runtime/index.ts'
import type { Column } from './check.ts'
import { mismatchError, mismatches, valueProblem } from './check.ts'
import { openReader } from './formats.ts'
import type { ModelInput } from './inputs.ts'
import { inputsOf } from './inputs.ts'
import { describeFiles, sealed } from './manifest.ts'
import type { Padded } from './padding.ts'
import { paddedInputs, withoutPadding } from './padding.ts'
import type { Reader, Row } from './reader.ts'
import type { Selection } from './select.ts'
import { select } from './select.ts'
import type { DataManifest, DataOptions, DataSource, Sample, SkippedSample } from './source.ts'
import { syntheticReader } from './synthetic.ts'

/**
 * Opens the data that `spec` names (a file, a folder or a module; nothing with `synthetic`) and checks it against the
 * model: names, types and shapes of every file that says them up front, else of the first sample.
 *
 * Throws an error of kind `data` with every mismatch in one table when it does not fit.
 */
export async function openData(spec: string | undefined, model: Model, options: DataOptions = {}): Promise<DataSource> {
  const inputs = inputsOf(model)
  const label = spec ?? 'synthetic data'
  const reader = await readerFor(spec, model, inputs, options)
  if (reader.count === 0) throw dataEmpty(label, 'there is nothing in it')
  const seed = options.seed ?? 0
  const selection = select(reader.count, options.samples ?? reader.count, seed, options.shard)
  const isSubset = selection.all.length < reader.count || reader.kind === 'synthetic'
  const files = reader.files(selection.all)
  const manifest = sealed({
    kind: reader.kind,
    files: await describeFiles(files, folderOf(spec), options.signal),
    count: reader.count,
    selection: { samples: selection.all.length, seed: isSubset ? seed : null, shard: options.shard ?? null },
    preparation: reader.preparation,
    synthetic: reader.kind === 'synthetic',
  })
  const notes = [...reader.notes]
  if ((options.samples ?? 0) > reader.count)
    notes.push(`"${label}" has ${reader.count} samples, fewer than the ${options.samples} asked for`)
  const source = new CheckedSource(label, reader, inputs, { selection, manifest, files, notes, options })
  await source.tryFirst()
  return source
}

async function readerFor(
  spec: string | undefined,
  model: Model,
  inputs: readonly ModelInput[],
  options: DataOptions,
): Promise<Reader> {
  checkNumbers(options)
  if (options.synthetic) {
    if (spec !== undefined) throw usage('--synthetic and --data exclude each other')
    return syntheticReader(model, options)
  }
  if (spec === undefined) throw usage('there is no data', 'Name it with --data, or make inputs up with --synthetic.')
  return openReader(spec, inputs, options)
}

function checkNumbers({ samples, seed, shard, maxLength }: DataOptions): void {
  const isCount = (n: number | undefined) => n === undefined || (Number.isSafeInteger(n) && n > 0)
  if (!isCount(samples)) throw usage(`${samples} is no number of samples`)
  if (!isCount(maxLength)) throw usage(`${maxLength} is no number of tokens`)
  if (seed !== undefined && !Number.isSafeInteger(seed)) throw usage(`the seed ${seed} is not a whole number`)
  if (shard && !(isCount(shard.index) && isCount(shard.count) && shard.index <= shard.count))
    throw usage(`there is no shard ${shard.index}/${shard.count}`, 'Shards are numbered from 1/N to N/N.')
}

function folderOf(spec: string | undefined): string | undefined {
  if (spec === undefined) return undefined
  return statSync(spec).isDirectory() ? spec : dirname(spec)
}

/** How many samples may be unusable at the start before the data counts as that of another model, when they are skipped. */
const patience = 8

interface Opened {
  readonly selection: Selection
  readonly manifest: DataManifest
  readonly files: readonly string[]
  readonly notes: string[]
  readonly options: DataOptions
}

class CheckedSource implements DataSource {
  readonly manifest: DataManifest
  readonly files: readonly string[]
  readonly notes: string[]
  readonly size: number
  readonly #label: string
  readonly #reader: Reader
  readonly #inputs: readonly ModelInput[]
  readonly #padded: Padded | undefined
  readonly #selection: Selection
  readonly #skips: boolean
  readonly #signal: AbortSignal | undefined
  readonly #skipped = new Map<number, SkippedSample>()

  constructor(label: string, reader: Reader, inputs: readonly ModelInput[], opened: Opened) {
    const { selection, options } = opened
    this.manifest = opened.manifest
    this.files = opened.files
    this.notes = opened.notes
    this.size = selection.end - selection.start
    this.#label = label
    this.#reader = reader
    this.#inputs = inputs
    this.#padded = paddedInputs(inputs)
    this.#selection = selection
    this.#skips = options.onBadSample === 'skip'
    this.#signal = options.signal
  }

  get skipped(): readonly SkippedSample[] {
    return [...this.#skipped.values()].sort((a, b) => a.index - b.index)
  }

  async *samples(): AsyncGenerator<Sample> {
    const { all, start, end } = this.#selection
    let index = start
    for await (const row of this.#reader.read(all.subarray(start, end))) {
      if (this.#signal?.aborted) throw interrupted()
      const fault = faultOf(row, this.#inputs, this.#label)
      if (fault === undefined && 'feeds' in row) yield { id: row.id, index, feeds: this.#needed(row.feeds) }
      else if (fault !== undefined) this.#refuse(row.id, index, fault)
      index++
    }
    const first = this.skipped[0]
    if (this.size > 0 && this.#skipped.size === this.size && first)
      throw dataNoneLeft(this.#label, this.size, first.reason)
  }

  /** Reads the start of the selection, the same whatever the shard, for what can be known before the first run. */
  async tryFirst(): Promise<void> {
    let first: ConvertError | undefined
    for await (const row of this.#reader.read(this.#selection.all.subarray(0, this.#skips ? patience : 1))) {
      const fault = faultOf(row, this.#inputs, this.#label)
      if (fault === undefined && 'feeds' in row) return this.#noteUnused(row.feeds)
      first ??= fault?.error
    }
    if (first !== undefined) throw first
  }

  #refuse(id: string, index: number, fault: Fault): void {
    if (!this.#skips) throw fault.error
    this.#skipped.set(index, { id, index, reason: fault.reason })
  }

  #needed(feeds: Feeds): Feeds {
    const needed = Object.fromEntries(this.#inputs.map(({ name }) => [name, feeds[name] as Feeds[string]]))
    return this.#padded ? withoutPadding(needed, this.#padded) : needed
  }

  #noteUnused(feeds: Feeds): void {
    const known = new Set(this.#inputs.map(({ name }) => name))
    const unused = Object.keys(feeds).filter((name) => !known.has(name))
    if (unused.length > 0)
      this.notes.push(`not inputs of the model, left out: ${unused.map((name) => `"${name}"`).join(', ')}`)
  }
}

interface Fault {
  readonly error: ConvertError
  /** In one sentence. */
  readonly reason: string
}

function faultOf(row: Row, inputs: readonly ModelInput[], label: string): Fault | undefined {
  if ('problem' in row) return { error: dataBadSample(row.id, row.problem), reason: row.problem }
  const rows = mismatches(inputs, columnsOf(row.feeds))
  if (rows.length > 0) {
    const reason = rows.map(({ input, wanted, given, advice }) =>
      `input "${input}" wants ${wanted}, not ${given} ${advice && `(${advice})`}`.trim(),
    )
    return { error: mismatchError(row.id === '' ? label : row.id, rows), reason: reason.join('; ') }
  }
  for (const input of inputs) {
    const problem = valueProblem(input, row.feeds[input.name] as Feeds[string])
    if (problem === undefined) continue
    const error = problem.sort === 'not-finite' ? dataNotFinite : dataBadSample
    return { error: error(row.id, problem.reason), reason: problem.reason }
  }
  return undefined
}

function columnsOf(feeds: Feeds): Column[] {
  return Object.entries(feeds).map(([name, { dtype, dims }]) => ({ name, dtype, shape: dims }))
}
