import { bug } from '../errors.ts'
import { DerivedPayload, dtypes, OwnedPayload, Tensor } from '../ir/index.ts'
import { forEachBlock, rowsOf } from './matrix.ts'

/** How blocks of a weight are stored: bits of an element, and elements that have one scale. */
export interface BlockFormat {
  readonly bits: 4 | 8
  readonly size: number
}

/**
 * The scales of a matrix of [N, K], one for each block of a row: the element of largest magnitude becomes -2^(bits-1), so
 * that the whole range of the integers is used. Source: com.microsoft.MatMulNBits, whose zero point is 2^(bits-1).
 */
export function blockScales(matrix: Tensor, { bits, size }: BlockFormat): Tensor {
  const [rows = 0, columns = 0] = matrix.dims
  const blocks = Math.ceil(columns / size)
  const scales = new Float32Array(rows * blocks)
  forEachBlock(matrix, (values, first, count) => {
    for (let r = 0; r < count; r++) {
      for (let b = 0; b < blocks; b++) {
        let extreme = 0
        const end = Math.min(columns, (b + 1) * size)
        for (let c = b * size; c < end; c++) {
          const x = values[r * columns + c] as number
          if (Math.abs(x) > Math.abs(extreme)) extreme = x
        }
        scales[(first + r) * blocks + b] = extreme / -(2 ** (bits - 1))
      }
    }
  })
  const payload = new OwnedPayload(new Uint8Array(scales.buffer))
  return new Tensor({ dtype: dtypes.float, dims: [rows * blocks], payload })
}

/**
 * The matrix of [N, K] as [N, blocks, bytes of a block]: `round(w / scale) + 2^(bits-1)`, two elements of 4 bits in a byte,
 * the first in the low half; what is behind the end of a row is 0. Computed a few rows at a time when it is written.
 */
export function packedBlocks(matrix: Tensor, scales: Tensor, format: BlockFormat): Tensor {
  const [rows = 0, columns = 0] = matrix.dims
  const blocks = Math.ceil(columns / format.size)
  const blockBytes = (format.size * format.bits) / 8
  const rowBytes = blocks * blockBytes
  const read = (offset: number, length: number): Uint8Array => {
    const first = Math.floor(offset / rowBytes)
    const last = Math.min(rows, Math.ceil((offset + length) / rowBytes))
    const values = rowsOf(matrix, first, last - first)
    const bytes = new Uint8Array((last - first) * rowBytes)
    const steps = scalesAt(scales, first * blocks, (last - first) * blocks)
    for (let r = 0; r < last - first; r++) {
      const row = values.subarray(r * columns, (r + 1) * columns)
      pack(row, steps.subarray(r * blocks, (r + 1) * blocks), format, bytes.subarray(r * rowBytes, (r + 1) * rowBytes))
    }
    return bytes.subarray(offset - first * rowBytes, offset - first * rowBytes + length)
  }
  const payload = new DerivedPayload(rows * rowBytes, read)
  return new Tensor({ dtype: dtypes.uint8, dims: [rows, blocks, blockBytes], payload, name: matrix.name })
}

function pack(row: ArrayLike<number>, scales: Float32Array, { bits, size }: BlockFormat, bytes: Uint8Array): void {
  const middle = 2 ** (bits - 1)
  const largest = 2 ** bits - 1
  for (let c = 0; c < row.length; c++) {
    const scale = scales[Math.floor(c / size)] as number
    const q = scale === 0 ? middle : Math.round((row[c] as number) / scale) + middle
    const stored = q < 0 ? 0 : q > largest ? largest : q
    if (bits === 8) bytes[c] = stored
    else bytes[c >> 1] = (bytes[c >> 1] as number) | (stored << (4 * (c & 1)))
  }
}

function scalesAt({ payload }: Tensor, start: number, count: number): Float32Array {
  if (!payload) throw bug('scales have no data')
  const bytes = payload.read(4 * start, 4 * count)
  return new Float32Array(bytes.buffer, bytes.byteOffset, count)
}
