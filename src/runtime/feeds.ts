import type { Dim, Model, Node, Use, Value } from '../ir/index.ts'
import { dtypes, isFloat, Tensor } from '../ir/index.ts'
import { random } from './random.ts'
import type { Feeds } from './session.ts'
import { canBeFed } from './tensors.ts'

/** Sizes for what the declared shapes leave open. */
export interface Sizes {
  readonly batch: number
  /** Any other unknown dimension: a sequence, an image side. */
  readonly other: number
  /** Steps already in a key-value cache. */
  readonly past: number
}

/** Inputs, or one sentence on why none can be made. */
export type GeneratedFeeds =
  | { readonly feeds: Feeds; readonly refused?: never }
  | { readonly feeds?: never; readonly refused: string }

/** Larger inputs are not made: the run is a check, not a benchmark. */
const mostElements = 1 << 24

/**
 * Small seeded inputs for the declared inputs of a model: normal floats, ids inside the tables they index, masks of ones,
 * positions counted up, the lengths that attention is told. A dimension with the same symbol has the same size everywhere; sums of symbols are understood.
 */
export function generateFeeds(model: Model, sizes: Sizes, seed: number): GeneratedFeeds {
  const feeds: Record<string, Tensor> = {}
  const next = random(seed)
  for (const value of model.graph.inputs) {
    if (value.initializer !== undefined) continue
    if (value.type?.kind !== 'tensor') return { refused: `input "${value.name}" is not a tensor` }
    const { dtype, shape } = value.type
    if (!canBeFed(dtype))
      return { refused: `input "${value.name}" has an element type onnxruntime-node cannot be given` }
    const dims = (shape ?? [undefined]).map((dim, axis) => sizeOf(dim, axis, sizes))
    const size = dims.reduce((product, dim) => product * dim, 1)
    if (size > mostElements) return { refused: `input "${value.name}" has ${size} elements` }
    feeds[value.name] = fill(value, dtype, dims, sizes, next)
  }
  return { feeds }
}

function sizeOf(dim: Dim, axis: number, sizes: Sizes): number {
  if (typeof dim === 'number') return dim > 0 ? dim : sizes.other
  if (dim === undefined) return axis === 0 ? sizes.batch : sizes.other
  return dim.split('+').reduce((sum, term) => sum + sizeOfSymbol(term.trim(), axis, sizes), 0)
}

function sizeOfSymbol(symbol: string, axis: number, { batch, other, past }: Sizes): number {
  if (/^\d+$/.test(symbol)) return Number(symbol)
  if (/total|mask/i.test(symbol)) return past + other
  if (/past|cache/i.test(symbol)) return past
  return /batch|^b$|^n$|^bs$/i.test(symbol) && axis === 0 ? batch : other
}

function fill(value: Value, dtype: number, dims: readonly number[], sizes: Sizes, next: () => number): Tensor {
  const size = dims.reduce((product, dim) => product * dim, 1)
  const numbers = (element: (i: number) => number) =>
    Tensor.of(
      dtype,
      dims,
      Float64Array.from({ length: size }, (_, i) => element(i)),
    )
  if (dtype === dtypes.string) {
    const word = Buffer.from('a')
    return new Tensor({ dtype, dims, strings: () => Array.from({ length: size }, () => word) })
  }
  const name = value.name.toLowerCase()
  if (name.includes('mask')) return numbers(() => 1)
  if (dtype === dtypes.bool) return numbers(() => 0)
  if (isFloat(dtype)) return size === 1 ? numbers(() => 1) : numbers(() => normal(next))
  const length = lengthSaid(value, sizes)
  if (length !== undefined) return numbers(() => length)
  const limit = rowsIndexedBy(value)
  if (name.includes('position')) return numbers((i) => Math.min(i % (dims.at(-1) ?? 1), (limit ?? 512) - 1))
  if (limit !== undefined) return numbers(() => Math.floor(next() * limit))
  return size === 1 ? numbers(() => 1) : numbers((i) => i % 2)
}

function normal(next: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
}

/** Operators that hand the elements of their first input on, whatever they do to the shape. */
const passing = new Set([
  'Cast',
  'Identity',
  'Unsqueeze',
  'Squeeze',
  'Reshape',
  'Flatten',
  'Transpose',
  'Slice',
  'Expand',
])

/** How many rows the smallest table has that the elements of `value` index; `undefined` when they index none. */
export function rowsIndexedBy(value: Value): number | undefined {
  let smallest: number | undefined
  for (const { node, index } of readersOf(value)) {
    const rows = rowsIndexed(node, index)
    if (rows !== undefined) smallest = Math.min(rows, smallest ?? rows)
  }
  return smallest
}

/** Where the elements of `value` are read, as they are. */
function* readersOf(value: Value): Generator<Use> {
  const seen = new Set<Value>([value])
  for (const current of seen) {
    for (const use of current.uses) {
      yield use
      const output = use.node.output(0)
      if (output !== undefined && use.index === 0 && passing.has(use.node.op)) seen.add(output)
    }
  }
}

/** The number of keys, or what an operator wants of it, where `value` is told to attention; all of them count. */
function lengthSaid(value: Value, sizes: Sizes): number | undefined {
  for (const { node, index } of readersOf(value)) {
    const said = lengthInputs[node.op]?.[index]
    if (said === undefined) continue
    const past = node.input(said.past)?.shape
    return (past === undefined ? 0 : sizeOf(past[2], 2, sizes)) + sizes.other + said.more
  }
  return undefined
}

/**
 * Inputs that hold a number of keys, less one where the operator counts so, and the input with the keys of earlier steps.
 * Sources: ContribOperators.md, Operators.md of ONNX.
 */
const lengthInputs: Readonly<Record<string, Readonly<Record<number, { past: number; more: number }>>>> = {
  'com.microsoft::GroupQueryAttention': { 5: { past: 3, more: -1 }, 6: { past: 3, more: 0 } },
  Attention: { 6: { past: 4, more: 0 } },
}

/** Rows of the table that input `index` of `node` holds the ids for. */
function rowsIndexed(node: Node, index: number): number | undefined {
  if (node.opType === 'Gather' || node.opType === 'GatherBlockQuantized') {
    return index === 1 ? rows(node.input(0), node.int('axis') ?? node.int('gather_axis') ?? 0) : undefined
  }
  // Inputs: input_ids, segment_ids, word embedding, position embedding, segment embedding. Source: ContribOperators.md.
  if (node.op === 'com.microsoft::EmbedLayerNormalization') {
    const table = index === 0 ? 2 : index === 1 ? 4 : undefined
    return table === undefined ? undefined : rows(node.input(table), 0)
  }
  return undefined
}

function rows(table: Value | undefined, axis: number): number | undefined {
  if (table === undefined) return undefined
  const constant = table.producer?.attributes.get('value')
  const shape = constant?.kind === 'tensor' ? constant.value.dims : table.shape
  const size = shape?.at(axis)
  if (typeof size === 'number') return size
  const source = table.producer?.opType === 'DequantizeLinear' ? table.producer.input(0) : undefined
  return source === undefined ? undefined : rows(source, axis)
}
