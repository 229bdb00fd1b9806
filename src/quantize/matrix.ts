import { bug } from '../errors.ts'
import { DerivedPayload, dtypes, float8ToNumber, numberToFloat8, Tensor } from '../ir/index.ts'
import type { Grid } from './grid.ts'
import { integerGrid } from './grid.ts'

/**
 * Arithmetic on constant matrices of any size, a block of rows at a time: nothing here holds a whole weight, and what is
 * made of one is a derived tensor that is computed when it is written.
 *
 * A matrix is stored row-major as [rows, columns]; an axis is 0 (one number for each row) or 1 (for each column). The weight
 * of a convolution counts as one: its rows are axis 0, and axis 1 is its own, of the axes that make up the columns.
 */
export type Axis = 0 | 1

/** Elements of a block: the memory an operation needs, whatever the size of the matrix. */
const blockSize = 1 << 18

/** Visits the rows of a matrix in order, some at a time, as numbers. */
export function forEachBlock(
  tensor: Tensor,
  visit: (values: Float32Array | Int8Array, firstRow: number, rows: number) => void,
): void {
  const [rows = 0] = tensor.dims
  const columns = columnsOf(tensor)
  const step = Math.max(1, Math.floor(blockSize / Math.max(1, columns)))
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row)
    visit(elements(tensor, row * columns, count * columns), row, count)
  }
}

/** Largest magnitude along the other axis, for each index of `axis`. */
export function largestMagnitude(tensor: Tensor, axis: Axis): Float64Array {
  const columns = columnsOf(tensor)
  const within = columns / (tensor.dims[1] as number)
  const largest = new Float64Array(tensor.dims[axis] as number)
  forEachBlock(tensor, (values, first, rows) => {
    for (let r = 0, i = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++, i++) {
        const x = Math.abs(values[i] as number)
        const at = axis === 0 ? first + r : Math.floor(c / within)
        if (x > (largest[at] as number)) largest[at] = x
      }
    }
  })
  return largest
}

/** `Σ_k vector_k w_kn` for every n, where k runs along `axis`. */
export function contract(vector: Float64Array, tensor: Tensor, axis: Axis): Float64Array {
  const columns = tensor.dims[1] as number
  const sums = new Float64Array(tensor.dims[1 - axis] as number)
  forEachBlock(tensor, (values, first, rows) => {
    for (let r = 0, i = 0; r < rows; r++) {
      if (axis === 0) {
        const factor = vector[first + r] as number
        for (let c = 0; c < columns; c++, i++) sums[c] = (sums[c] as number) + factor * (values[i] as number)
        continue
      }
      let sum = 0
      for (let c = 0; c < columns; c++, i++) sum += (vector[c] as number) * (values[i] as number)
      sums[first + r] = sum
    }
  })
  return sums
}

/** The matrix with row (axis 0) or column (axis 1) i multiplied by `factors[i]`. */
export function scaled(tensor: Tensor, factors: Float64Array, axis: Axis): Tensor {
  return derived(tensor, axis, dtypes.float, Float32Array, (x, i) => x * (factors[i] as number))
}

/** The matrix in s8: `clamp(round(w / scale))` within ±limit, with one scale for each index of `axis`. */
export function quantized(tensor: Tensor, scales: Float64Array, axis: Axis, limit: number): Tensor {
  return quantizedOn(integerGrid(limit), tensor, scales, axis)
}

/** The weight on a grid, with one scale for each index of `axis`. */
export function quantizedOn({ dtype, round }: Grid, tensor: Tensor, scales: Float64Array, axis: Axis): Tensor {
  const rounded = (x: number, i: number) => round(x / (scales[i] as number))
  return dtype === dtypes.int8
    ? derived(tensor, axis, dtype, Int8Array, rounded)
    : derived(tensor, axis, dtype, Uint8Array, (x, i) => numberToFloat8(rounded(x, i)))
}

/** The matrix in s8 with one scale. */
export function quantizedWhole(tensor: Tensor, scale: number, limit: number): Tensor {
  return quantized(tensor, new Float64Array(tensor.dims[0] as number).fill(scale), 0, limit)
}

type ArrayOf = typeof Float32Array | typeof Int8Array | typeof Uint8Array

/** Elements of a row. */
function columnsOf(tensor: Tensor): number {
  return tensor.size / Math.max(1, tensor.dims[0] as number)
}

/** A tensor of the same dims: each element from the one of `source` and its index along the axis, a range at a time. */
function derived(
  source: Tensor,
  axis: Axis,
  dtype: number,
  ElementArray: ArrayOf,
  map: (x: number, index: number) => number,
): Tensor {
  const columns = columnsOf(source)
  const within = columns / (source.dims[1] as number)
  const width = ElementArray.BYTES_PER_ELEMENT
  const payload = new DerivedPayload(source.size * width, (offset, length) => {
    const start = Math.floor(offset / width)
    const end = Math.ceil((offset + length) / width)
    const values = elements(source, start, end - start)
    const out = new ElementArray(values.length)
    let row = Math.floor(start / columns)
    let column = start - row * columns
    for (let i = 0; i < out.length; i++) {
      out[i] = map(values[i] as number, axis === 0 ? row : Math.floor(column / within))
      if (++column < columns) continue
      column = 0
      row++
    }
    return new Uint8Array(out.buffer).subarray(offset - start * width, offset - start * width + length)
  })
  return new Tensor({ dtype, dims: source.dims, payload, name: source.name })
}

/** Some rows of a float matrix. */
export function rowsOf(tensor: Tensor, first: number, count: number): Float32Array | Int8Array {
  const columns = tensor.dims[1] as number
  return elements(tensor, first * columns, count * columns)
}

/** A range of the elements of a tensor. */
function elements(tensor: Tensor, start: number, count: number): Float32Array | Int8Array {
  const payload = tensor.payload
  if (!payload) throw bug(`matrix "${tensor.name}" has no data`)
  const width = payload.byteLength / tensor.size
  const bytes = payload.read(start * width, count * width)
  if (tensor.dtype === dtypes.int8) return new Int8Array(bytes.buffer, bytes.byteOffset, count)
  if (tensor.dtype === dtypes.float8e4m3fn) return Float32Array.from(bytes, float8ToNumber)
  if (tensor.dtype !== dtypes.float) throw bug(`matrix "${tensor.name}" is neither float nor of 8 bits`)
  // A view needs an aligned start.
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes)
  return new Float32Array(aligned.buffer, aligned.byteOffset, count)
}

/** The transpose of a matrix as a tensor. Reading it holds one whole matrix: the one that was asked for last. */
export function transposed(tensor: Tensor): Tensor {
  const [rows = 0, columns = 0] = tensor.dims
  const payload = new DerivedPayload(tensor.size * 4, (offset, length) => {
    if (latest?.of !== tensor) latest = { of: tensor, bytes: transposedBytes(tensor) }
    return latest.bytes.slice(offset, offset + length)
  })
  return new Tensor({ dtype: dtypes.float, dims: [columns, rows], payload, name: tensor.name })
}

let latest: { readonly of: Tensor; readonly bytes: Uint8Array } | undefined

function transposedBytes(tensor: Tensor): Uint8Array {
  const [rows = 0, columns = 0] = tensor.dims
  const values = new Float32Array(rows * columns)
  forEachBlock(tensor, (block, first, count) => {
    for (let r = 0, i = 0; r < count; r++)
      for (let c = 0; c < columns; c++, i++) values[c * rows + first + r] = block[i] as number
  })
  return new Uint8Array(values.buffer)
}
