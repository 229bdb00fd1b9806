import { basename } from 'node:path'
import type { DataMismatch } from '../errors.ts'
import { dataUnsupported } from '../errors.ts'
import { byteSize, OwnedPayload, Tensor } from '../ir/index.ts'
import type { Column } from './check.ts'
import { mismatchError, mismatches } from './check.ts'
import type { Cursor } from './cursor.ts'
import type { ModelInput } from './inputs.ts'
import { batchOf } from './inputs.ts'
import type { Reader } from './reader.ts'
import type { DataKind } from './source.ts'

/** An array in a file, little-endian and row-major as its cursor gives it. */
export interface StoredArray {
  readonly name: string
  readonly dtype: number
  readonly dims: readonly number[]
  open(): Promise<Cursor>
}

/** How the leading axis of an array becomes samples. */
interface Layout {
  readonly array: StoredArray
  /** Samples in it; `undefined` when it is the same for all, having no axes. */
  readonly count: number | undefined
  readonly dims: readonly number[]
  /** Bytes of one sample. */
  readonly bytes: number
}

/**
 * Samples from arrays whose leading axis is the samples: an array with the rank of its input gives rows with a leading
 * axis of 1 (or of what the input is fixed to), one with an axis more gives rows of the rank of the input.
 *
 * Throws the table of mismatches when an array does not fit its input.
 */
export function arrayReader(
  kind: DataKind,
  { path, files }: { path: string; files: readonly string[] },
  arrays: readonly StoredArray[],
  inputs: readonly ModelInput[],
): Reader {
  const wanted = new Map(inputs.map((input) => [input.name, input]))
  const layouts = arrays.map((array) => layoutOf(array, wanted.get(array.name)))
  const problems = mismatches(inputs, layouts.map(columnFor))
  const needed = layouts.filter(({ array }) => wanted.has(array.name))
  const count = Math.max(0, ...needed.map((layout) => layout.count ?? 1))
  problems.push(...unevenCounts(needed, count))
  if (problems.length > 0) throw mismatchError(path, problems)
  const huge = needed.find(({ bytes }) => bytes > largestSample)
  if (huge) throw dataUnsupported(path, `a sample of "${huge.array.name}" would be ${huge.bytes} bytes`)
  return {
    kind,
    count,
    notes: notesOf(needed, layouts, inputs),
    preparation: {},
    files: () => files,
    read: (positions) => readRows(path, needed, positions),
  }
}

/** What neither a typed array of every system nor a runtime takes. */
const largestSample = 2 ** 31

async function* readRows(path: string, layouts: readonly Layout[], positions: Iterable<number>) {
  const opened: { layout: Layout; cursor: Cursor }[] = []
  const fixed = new Map<StoredArray, Uint8Array>()
  try {
    for (const layout of layouts) opened.push({ layout, cursor: await layout.array.open() })
    for (const position of positions) {
      const feeds: Record<string, Tensor> = {}
      for (const { layout, cursor } of opened) {
        const { array, dims, bytes, count } = layout
        const data = fixed.get(array) ?? (await cursor.read(count === undefined ? 0 : position * bytes, bytes))
        if (count === undefined) fixed.set(array, data)
        feeds[array.name] = new Tensor({ dtype: array.dtype, dims, payload: new OwnedPayload(data) })
      }
      yield { position, id: `${basename(path)}[${position}]`, feeds }
    }
  } finally {
    for (const { cursor } of opened) await cursor.close()
  }
}

function layoutOf(array: StoredArray, input: ModelInput | undefined): Layout {
  const { dims } = array
  const rank = input?.shape?.length ?? dims.length
  const [rows = 1, ...rest] = dims
  const sized = (count: number | undefined, own: readonly number[]) => ({
    array,
    count,
    dims: own,
    bytes:
      byteSize(
        array.dtype,
        own.reduce((size, dim) => size * dim, 1),
      ) ?? 0,
  })
  if (dims.length === 0) return sized(undefined, dims)
  if (dims.length === rank + 1) return sized(rows, rest)
  const step = input === undefined ? 1 : batchOf(input)
  return sized(Math.floor(rows / step), [step, ...rest])
}

function columnFor({ array, dims }: Layout): Column {
  return { name: array.name, dtype: array.dtype, shape: dims }
}

function unevenCounts(layouts: readonly Layout[], count: number): DataMismatch[] {
  return layouts
    .filter((layout) => layout.count !== undefined && layout.count !== count)
    .map((layout) => ({
      input: layout.array.name,
      sort: 'shape',
      wanted: `${count} samples, as other inputs have`,
      given: `${layout.count}`,
      advice: 'the leading axes of all arrays have to agree',
    }))
}

function notesOf(needed: readonly Layout[], all: readonly Layout[], inputs: readonly ModelInput[]): string[] {
  const notes: string[] = []
  const unused = all.filter((layout) => !needed.includes(layout)).map(({ array }) => `"${array.name}"`)
  if (unused.length > 0) notes.push(`not inputs of the model, left out: ${unused.join(', ')}`)
  const batch = Math.max(...inputs.map(batchOf))
  const rest = Math.max(0, ...needed.map(({ array, dims }) => (array.dims[0] ?? 0) % (dims[0] || 1)))
  if (batch > 1) notes.push(`the model takes ${batch} rows at once: a sample is ${batch} rows`)
  if (batch > 1 && rest > 0) notes.push(`${rest} rows at the end, fewer than a sample needs, are left out`)
  return notes
}
