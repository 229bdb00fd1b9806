import { describe, expect, it } from 'vitest'
import { dtypes } from '../src/ir/index.ts'
import { openModel } from '../src/onnx/index.ts'
import { float, floats, int, len, packed } from './support/proto-bytes.ts'

/** The only initializer of a model that has the fields. */
function tensorOf(...fields: Buffer[]) {
  const model = openModel(Buffer.concat([int(1, 8), len(7, len(5, len(8, 'w'), ...fields))]))
  const tensor = model.graph.values.get('w')?.initializer
  if (!tensor?.payload) throw new Error('the model has no tensor w')
  return { tensor, payload: tensor.payload }
}

describe('data given element by element', () => {
  const values = Array.from({ length: 5000 }, (_, i) => (i % 2 ? -1 : 1) * i ** 3)
  const { tensor, payload } = tensorOf(
    int(1, values.length),
    int(2, dtypes.int64),
    // Two packed runs, single elements between them, and a field that is none of its business.
    packed(7, values.slice(0, 3000)),
    ...values.slice(3000, 3010).map((value) => int(7, value)),
    int(5, 99),
    packed(7, values.slice(3010)),
  )

  it('is the raw layout, whole and in parts, forwards and backwards', () => {
    expect(tensor.toNumbers()).toEqual(values)
    const whole = Buffer.from(payload.read(0, payload.byteLength))
    expect(whole.readBigInt64LE(4999 * 8)).toBe(BigInt(values[4999] as number))
    for (const [offset, length] of [
      [0, 40_000],
      [24_000, 80],
      [23_995, 21],
      [39_999, 1],
      [3, 1],
      [8000, 16_000],
      [7999, 0],
    ] as const) {
      expect(Buffer.from(payload.read(offset, length)).equals(whole.subarray(offset, offset + length))).toBe(true)
    }
    expect(() => payload.read(39_999, 2)).toThrow(RangeError)
  })

  it.each<[string, number, number, Buffer[], number[]]>([
    ['bytes', dtypes.uint8, 3, [packed(5, [0, 128, 255])], [0, 128, 255]],
    ['signed bytes', dtypes.int8, 2, [packed(5, [-128, 127])], [-128, 127]],
    ['shorts', dtypes.int16, 2, [packed(5, [-32768, 5])], [-32768, 5]],
    ['halves, by their bits', dtypes.float16, 2, [packed(5, [0x3c00, 0xc000])], [1, -2]],
    ['brain floats, by their bits', dtypes.bfloat16, 2, [packed(5, [0x3f80, 0xc000])], [1, -2]],
    ['booleans', dtypes.bool, 3, [packed(5, [1, 0, 1])], [1, 0, 1]],
    ['unsigned words', dtypes.uint32, 2, [packed(11, [2 ** 32 - 1, 7])], [2 ** 32 - 1, 7]],
    ['floats one by one', dtypes.float, 3, [float(4, 1), len(4, floats([2, 3]))], [1, 2, 3]],
    ['floats in one run', dtypes.float, 3, [len(4, floats([1, 2, 3]))], [1, 2, 3]],
    ['no elements', dtypes.float, 0, [], []],
  ])('may be %s', (_, dtype, count, fields, expected) => {
    const { tensor } = tensorOf(int(1, count), int(2, dtype), ...fields)
    expect(tensor.toNumbers()).toEqual(expected)
  })

  it.each<[string, Buffer[]]>([
    ['too few elements', [int(1, 3), int(2, dtypes.int64), packed(7, [1, 2])]],
    ['too many elements', [int(1, 1), int(2, dtypes.int64), packed(7, [1, 2])]],
    ['elements in the field of another type', [int(1, 2), int(2, dtypes.int64), packed(5, [1, 2])]],
    ['raw data that is too short', [int(1, 2), int(2, dtypes.float), len(9, floats([1]))]],
    ['raw data that is too long', [int(1, 1), int(2, dtypes.float), len(9, floats([1, 2]))]],
  ])('with %s is refused', (_, fields) => {
    const { payload } = tensorOf(...fields)
    expect(() => payload.read(0, payload.byteLength)).toThrow(expect.objectContaining({ code: 'data-size' }))
  })
})

describe('a sparse initializer', () => {
  const sparse = (indices: number[], dims: number[], shape: number[]) => {
    const values = len(1, int(1, 2), int(2, dtypes.float), len(8, 'w'), len(9, floats([5, 6])))
    const at = len(2, ...dims.map((d) => int(1, d)), int(2, dtypes.int64), packed(7, indices))
    const model = openModel(Buffer.concat([int(1, 8), len(7, len(15, values, at, ...shape.map((d) => int(3, d))))]))
    return model.graph.values.get('w')?.initializer
  }

  it('has its zeros when it is read', () => {
    expect(sparse([1, 3], [2], [4])?.toNumbers()).toEqual([0, 5, 0, 6])
    expect(sparse([0, 1, 1, 0], [2, 2], [2, 2])?.toNumbers()).toEqual([0, 5, 6, 0])
    expect(Buffer.from(sparse([1, 3], [2], [4])?.payload?.read(6, 4) ?? []).toString('hex')).toBe('a0400000')
  })

  it('with an index out of range or too few indices is refused', () => {
    expect(() => sparse([1, 4], [2], [4])?.toNumbers()).toThrow(expect.objectContaining({ code: 'malformed' }))
    expect(() => sparse([1], [1], [4])?.toNumbers()).toThrow(expect.objectContaining({ code: 'data-size' }))
  })
})
