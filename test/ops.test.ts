import { describe, expect, it } from 'vitest'
import type { Model, Value } from '../src/ir/index.ts'
import { dtypes } from '../src/ir/index.ts'
import {
  constantOf,
  contractedLabels,
  dtypeOf,
  Facts,
  labelledProduct,
  rankOf,
  shapeOf,
  softmax1,
} from '../src/ops/index.ts'
import { mapThroughReshape, relatedThroughReshape, reshapeGroups } from '../src/ops/reshape.ts'
import { addSizes, divideSizes, productOf, sizeOfName, subtractSizes, timesSizes } from '../src/ops/size.ts'
import { modelOf } from './support/attention-text.ts'

function graph(nodes: string, inputs: string, weights = '', opset = 17): Model {
  return modelOf(
    `<ir_version: 8, opset_import: ["" : ${opset}, "com.microsoft" : 1]> g (${inputs}) => (y) <int64[1] last = {-1}${weights && `, ${weights}`}> { ${nodes} }`,
  )
}
const value = (model: Model, name: string): Value => model.graph.resolve(name) as Value

describe('sizes', () => {
  it('multiply and divide as products of symbols', () => {
    expect(timesSizes(12, 'batch')).toBe('12*batch')
    expect(timesSizes('12*batch', 'a')).toBe(timesSizes('a', timesSizes('batch', 12)))
    expect(divideSizes('12*batch', 12)).toBe('batch')
    expect(divideSizes('12*batch', 'batch')).toBe(12)
    expect(divideSizes('12*batch', 'seq')).toBeUndefined()
    expect(divideSizes(12, 5)).toBeUndefined()
    expect(productOf(['b', 2, 's', 3])).toBe('6*b*s')
  })

  it('add up to the same symbol in any order, and give it back', () => {
    expect(addSizes('past', 'seq')).toBe(addSizes('seq', 'past'))
    expect(addSizes(addSizes('T', 1), -1)).toBe('T')
    expect(subtractSizes(addSizes('T', 3), 'T')).toBe(3)
    expect(subtractSizes('a', 'b')).toBeUndefined()
    expect(addSizes(2, 3)).toBe(5)
  })

  it('take names of dimensions for what they say', () => {
    expect(sizeOfName('8*s0')).toBe(timesSizes('s0', 8))
    expect(sizeOfName('s0 + s1')).toBe('s0+s1')
  })
})

describe('reshape', () => {
  it('pairs axes of equal size', () => {
    const groups = reshapeGroups(['B', 'S', 16], ['B', 'S', 4, 4])
    expect(groups.every((g) => g.certain)).toBe(true)
    expect(groups.map(({ from, to }) => ({ from, to }))).toEqual([
      { from: [0], to: [0] },
      { from: [1], to: [1] },
      { from: [2], to: [2, 3] },
    ])
  })

  const cases: [from: (number | string)[], to: (number | string)[], axis: number, mapped: number | undefined][] = [
    [['B', 4, 'S', 'T'], ['4*B', 'S', 'T'], -1, -1],
    [['4*B', 'S', 'T'], ['B', 4, 'S', 'T'], -2, -2],
    [['4*B', 'S', 'T'], ['B', 4, 'S', 'T'], -3, undefined],
    [[2, 3, 4], [2, 12], -1, undefined],
    [[2, 3, 4], [6, 4], -1, -1],
    [[2, 3, 1], [2, 3], -2, -1],
    [['B', 1, 'S'], ['B', 'S'], -1, -1],
    [[6, 6], [6, 6], -2, -2],
    [['W', 'H', 'n', 'n'], ['B', 'w', 'H', 'n', 'n'], -1, -1],
  ]
  for (const [from, to, axis, mapped] of cases) {
    it(`maps axis ${axis} of [${from}] to ${mapped} of [${to}]`, () => {
      expect(mapThroughReshape(from, to, axis, false)?.axis).toBe(mapped)
    })
  }

  it('takes axes of equal size for each other where symbols cannot be compared, and says so', () => {
    expect(mapThroughReshape(['b', 96, 'h', 'w'], ['c', 2, 96, 784], -3)).toEqual({ axis: -2, exact: false })
    expect(mapThroughReshape(['b', 96, 'h', 'w'], ['c', 2, 96, 784], -3, false)).toBeUndefined()
    expect(mapThroughReshape(['b', 's', 'h', 'w'], ['b', 's', 784], -3)).toEqual({ axis: -2, exact: true })
  })

  it('relates a split axis to the axis it was part of', () => {
    expect(relatedThroughReshape(['B', 'S', 4, 4], ['B', 'S', 16], -1)).toEqual([-1])
    expect(relatedThroughReshape(['B', 'S', 16], ['B', 'S', 4, 4], -1)).toEqual([-2, -1])
    expect(relatedThroughReshape(['S', '4*B', 4], ['S', 'B', 16], -1)).toEqual([-1])
  })
})

describe('shapes', () => {
  it('follow sizes through the shape computations exporters write', () => {
    const model = graph(
      `sh = Shape (x) b = Gather (sh, i0) n = Gather (sh, i1) b1 = Unsqueeze (b, ax) n1 = Unsqueeze (n, ax)
       t = Concat <axis = 0> (b1, n1, four, four) r = Reshape (x, t) p = Transpose <perm = [0, 2, 1, 3]> (r)
       bh = Mul (b, h) bh1 = Unsqueeze (bh, ax) f = Concat <axis = 0> (bh1, last, four) y = Reshape (p, f)`,
      'float[batch, seq, 16] x',
      'int64 i0 = {0}, int64 i1 = {1}, int64 h = {4}, int64[1] ax = {0}, int64[1] four = {4}',
    )
    expect(shapeOf(value(model, 'p'))).toEqual(['batch', 4, 'seq', 4])
    expect(shapeOf(value(model, 'y'))).toEqual(['4*batch', 'seq', 4])
  })

  it('see through the Where of an Expand written by TorchScript', () => {
    const model = graph(
      `one = ConstantOfShape <value = int64[1] {1}> (three) m = Mul (one, minus) e = Equal (shape, m) w = Where (e, one, shape) y = Expand (x, w)`,
      'float[1, 5, 16] x',
      'int64[1] three = {3}, int64[3] shape = {7, -1, -1}, int64 minus = {-1}',
    )
    expect(shapeOf(value(model, 'y'))).toEqual([7, 5, 16])
  })

  it('need no declared types', () => {
    const model = graph(
      'a = MatMul (x, w) b = Einsum <equation = "bsd,btd->bst"> (a, a) c = Softmax (b) d = ReduceSum <keepdims = 0> (c, last) e, f = Split <axis = 1> (a, parts) g = Pad (b, pads) h = Slice (g, zero, last, last) y = Concat <axis = -1> (h, b)',
      'float[B, S, 16] x',
      'float[16, 8] w = ..., int64[2] parts = {2, 3}, int64[6] pads = {0, 0, 0, 0, 0, 1}, int64[1] zero = {0}',
    )
    const shapes = Object.fromEntries(['b', 'd', 'f', 'g', 'h', 'y'].map((n) => [n, shapeOf(value(model, n))]))
    expect(shapes).toEqual({
      b: ['B', 'S', 'S'],
      d: ['B', 'S'],
      f: ['B', 3, 8],
      g: ['B', 'S', '(S+1)'],
      h: ['B', 'S', 'S'],
      y: ['B', 'S', '(S+S)'],
    })
  })

  it('know the rank where the sizes stay unknown', () => {
    const model = graph('a = Conv (x, w) s = Shape (a) y = Reshape (a, s)', 'float[] x', 'float[8, 4, 3, 3] w = ...')
    expect([rankOf(value(model, 'a')), rankOf(value(model, 'y')), rankOf(value(model, 'x'))]).toEqual([4, 4, undefined])
    expect(shapeOf(value(model, 'y'))).toEqual(shapeOf(value(model, 'a')))
  })

  it('are found for chains that are deeper than the call stack', () => {
    const chain = Array.from({ length: 30_000 }, (_, i) => `v${i + 1} = Add (v${i}, v${i})`).join(' ')
    const model = graph(`v0 = Identity (x) ${chain} y = Identity (v30000)`, 'float[B, 3] x')
    expect(shapeOf(value(model, 'y'))).toEqual(['B', 3])
    expect(new Facts().isConstant(value(model, 'y'))).toBe(false)
  })
})

describe('constants', () => {
  it('are computed for scalars and small vectors', () => {
    const model = graph(
      'd = Constant <value_float = 64.0> () r = Sqrt (d) q = Reciprocal (r) n = Neg (q) c = Cast <to = 7> (r) y = Mul (x, n)',
      'float[2] x',
    )
    expect([constantOf(value(model, 'q')), constantOf(value(model, 'n')), constantOf(value(model, 'c'))]).toEqual([
      [0.125],
      [-0.125],
      [8],
    ])
    expect(constantOf(value(model, 'x'))).toBeUndefined()
  })

  it('are turned around the way TorchScript writes the pads of a Pad', () => {
    const model = graph(
      'z = ConstantOfShape <value = int64[1] {0}> (six) j = Concat <axis = 0> (given, z) r = Reshape (j, pairs) l = Slice (r, last, least, first, last) t = Transpose <perm = [1, 0]> (l) f = Reshape (t, last) p = Cast <to = 7> (f) y = Pad (x, p)',
      'float[B, 4, S, T] x',
      'int64[1] six = {6}, int64[2] given = {0, 1}, int64[2] pairs = {-1, 2}, int64[1] least = {-9223372036854775807}, int64[1] first = {0}',
    )
    expect(constantOf(value(model, 'p'))).toEqual([0, 0, 0, 0, 0, 0, 0, 1])
    expect(shapeOf(value(model, 'y'))).toEqual(['B', 4, 'S', '(T+1)'])
  })

  it('count what depends on sizes only', () => {
    const facts = new Facts()
    const model = graph(
      's = Shape (x) z = ConstantOfShape (s) a = Add (z, w) y = Add (a, x)',
      'float[B] x',
      'float w = {1}',
    )
    expect(['z', 'a', 'y'].map((n) => facts.isConstant(value(model, n)))).toEqual([true, true, false])
  })
})

describe('labelled products', () => {
  const labels = (nodes: string, inputs = 'float[B, 4, S, 8] a, float[B, 4, 8, T] b') => {
    const model = graph(nodes, inputs)
    const product = labelledProduct(value(model, 'y').producer as never, new Facts())
    return (
      product && {
        operands: product.operands.map((o) => o.labels.join('')),
        output: product.output.join(''),
        summed: contractedLabels(product),
      }
    )
  }

  it('see one meaning in many operators', () => {
    expect(labels('y = MatMul (a, b)')).toEqual({ operands: ['b2b1ik', 'b2b1kj'], output: 'b2b1ij', summed: ['k'] })
    expect(labels('y = com.microsoft.FusedMatMul <transA = 1> (a, b)')?.operands[0]).toBe('b2b1ki')
    expect(labels('y = Gemm <transB = 1> (a, b)', 'float[3, 4] a, float[5, 4] b')?.operands).toEqual(['ik', 'jk'])
    expect(labels('y = MatMul (a, b)', 'float[B, S, 8] a, float[8] b')).toEqual({
      operands: ['b1ik', 'k'],
      output: 'b1i',
      summed: ['k'],
    })
    expect(labels('y = Einsum <equation = "...id, ...jd"> (a, b)', 'float[B, 2, 3] a, float[B, 4, 3] b')).toEqual({
      operands: ['.1id', '.1jd'],
      output: '.1ij',
      summed: ['d'],
    })
    expect(
      labels('y = QLinearMatMul (a, s, z, b, s, z, s, z)', 'uint8[2, 3] a, uint8[3, 4] b, float s, uint8 z')?.operands,
    ).toEqual(['ik', 'kj'])
  })

  it('see a product in a sum over a Mul, unless one side is a scale', () => {
    const model = graph('m = Mul (a, b) y = ReduceSum <keepdims = 0> (m, last)', 'float[B, 1, 8] a, float[B, T, 8] b')
    const product = labelledProduct(value(model, 'y').producer as never, new Facts())
    expect(product && contractedLabels(product)).toEqual(['x1'])
    expect(product?.operands.map((o) => o.labels.includes('x2'))).toEqual([false, true])
    const scale = graph('m = Mul (a, b) y = ReduceSum <keepdims = 0> (m, last)', 'float[B, T, 1] a, float[B, T, 8] b')
    expect(labelledProduct(value(scale, 'y').producer as never, new Facts())).toBeUndefined()
  })

  it('do not read diagonals', () =>
    expect(labels('y = Einsum <equation = "ii->i"> (a)', 'float[3, 3] a')).toBeUndefined())
})

describe('softmax1', () => {
  it('is softmax with one more logit', () => {
    const row = [1.5, -2, 0.25, 3]
    const sum = row.reduce((total, x) => total + Math.exp(x), Math.exp(-2))
    const expected = row.map((x) => Math.exp(x) / sum)
    Array.from(softmax1(row, -2)).forEach((p, i) => {
      expect(p).toBeCloseTo(expected[i] as number, 14)
    })
  })

  it('is 0 for a row that is masked, whatever the mask is filled with', () => {
    for (const fill of [-1e4, -3.4028234663852886e38, Number.NEGATIVE_INFINITY]) {
      expect(Array.from(softmax1([fill, fill]))).toEqual([0, 0])
    }
  })

  it('is plain softmax without a sink', () => {
    expect(Array.from(softmax1([7, 7], Number.NEGATIVE_INFINITY))).toEqual([0.5, 0.5])
    expect(softmax1([Number.NEGATIVE_INFINITY], Number.NEGATIVE_INFINITY)[0]).toBeNaN()
  })

  it('does not overflow', () => expect(softmax1([1e4, 0])[0]).toBe(1))
})

it('a file that claims a tensor of a trillion axes gets no shape for it', () => {
  const model = graph('y = Reshape (x, s)', 'float[B] x, int64[1000000000000] s')
  expect(rankOf(value(model, 'y'))).toBeUndefined()
})

describe('element types', () => {
  it('are those of each output, where an operator gives several', () => {
    const model = graph(
      'best, at = TopK (x, k) q, scale, zero = DynamicQuantizeLinear (x) row = Reshape (at, k) y = Identity (scale)',
      'float[B,4] x',
      'int64[1] k = {2}',
    )
    const types = ['best', 'at', 'row', 'q', 'scale', 'zero', 'y'].map((name) => dtypeOf(value(model, name)))
    const { float, int64, uint8 } = dtypes
    expect(types).toEqual([float, int64, int64, uint8, float, uint8, float])
  })
})
