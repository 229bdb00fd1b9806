import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dtypes, Tensor } from '../src/ir/index.ts'
import {
  blockScales,
  contract,
  largestMagnitude,
  packedBlocks,
  quantized,
  scaled,
  transposed,
} from '../src/quantize/index.ts'

const matrices = fc
  .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 40 }))
  .chain(([rows, columns]) =>
    fc
      .array(fc.integer({ min: -1000, max: 1000 }), { minLength: rows * columns, maxLength: rows * columns })
      .map((values) => ({ rows, columns, values: values.map((x) => x / 64) })),
  )
const tensorOf = ({ rows, columns, values }: { rows: number; columns: number; values: number[] }) =>
  Tensor.of(dtypes.float, [rows, columns], values)

describe('arithmetic on matrices', () => {
  it('gives the same bytes whatever part is read', () => {
    fc.assert(
      fc.property(matrices, fc.nat(), fc.nat(), (matrix, a, b) => {
        const tensor = tensorOf(matrix)
        const scales = largestMagnitude(tensor, 1).map((x) => x / 127 || 1)
        const blocks = blockScales(tensor, { bits: 4, size: 16 })
        const derived = [
          scaled(tensor, scales, 1),
          quantized(tensor, scales, 1, 127),
          transposed(tensor),
          packedBlocks(tensor, blocks, { bits: 4, size: 16 }),
        ]
        for (const { payload } of derived) {
          const size = payload?.byteLength ?? 0
          const [from, to] = [a % (size + 1), b % (size + 1)].sort((x, y) => x - y) as [number, number]
          const whole = payload?.read(0, size)
          expect([...(payload?.read(from, to - from) ?? [])]).toEqual([...(whole?.subarray(from, to) ?? [])])
        }
      }),
      { seed: 5, numRuns: 200 },
    )
  })

  it('rounds every weight to the nearest step of its column, within half a step', () => {
    fc.assert(
      fc.property(matrices, (matrix) => {
        const tensor = tensorOf(matrix)
        const scales = largestMagnitude(tensor, 1).map((x) => x / 127 || 1)
        const integers = quantized(tensor, scales, 1, 127).toNumbers()
        for (const [i, x] of matrix.values.entries()) {
          const scale = scales[i % matrix.columns] as number
          expect(Math.abs(x - scale * (integers[i] as number))).toBeLessThanOrEqual(scale / 2 + 1e-6)
        }
      }),
      { seed: 6, numRuns: 100 },
    )
  })

  it('contracts along either axis', () => {
    const tensor = Tensor.of(dtypes.float, [2, 3], [1, 2, 3, 4, 5, 6])
    expect([...contract(Float64Array.of(1, 10), tensor, 0)]).toEqual([41, 52, 63])
    expect([...contract(Float64Array.of(1, 10, 100), tensor, 1)]).toEqual([321, 654])
  })

  it('keeps the extreme of every block exactly, in the low half of a byte first', () => {
    const tensor = Tensor.of(dtypes.float, [1, 16], [-8, 7, 0, 1, ...Array.from({ length: 12 }, () => 0)])
    const scales = blockScales(tensor, { bits: 4, size: 16 })
    expect(scales.toNumbers()).toEqual([1])
    expect(packedBlocks(tensor, scales, { bits: 4, size: 16 }).toNumbers().slice(0, 3)).toEqual([0xf0, 0x98, 0x88])
  })
})
