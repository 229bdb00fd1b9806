import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { histogram, kurtosisOf, momentsOf, mostBins } from '../src/calibrate/elements.js'
import { entropyRange } from '../src/calibrate/methods/entropy.ts'
import { huber, leastLossRange, squared } from '../src/calibrate/methods/least-loss.ts'
import { percentileRange } from '../src/calibrate/methods/percentile.ts'
import { addChannels, channelStatistics, noChannels } from '../src/calibrate/observers/channels.ts'
import type { Histogram } from '../src/calibrate/observers/histogram.ts'
import { addHistogram, noElements, quantile, totalOf } from '../src/calibrate/observers/histogram.ts'
import { addHeadRows, logsumexpOfSample, noRows } from '../src/calibrate/observers/logsumexp.ts'
import type { Moments } from '../src/calibrate/observers/moments.ts'
import { mergeMoments, outliersOf } from '../src/calibrate/observers/moments.ts'
import { addRanges, minMax, movingAverage, noRanges } from '../src/calibrate/observers/ranges.ts'
import { calibratedSink, changeOf } from '../src/calibrate/sinks.ts'
import type { Range } from '../src/quantize/statistics.ts'
import { pythonWith, runPython } from './support/python.ts'
import { random } from './support/random.ts'

/** Seeded activations as transformers have them: a bulk, a half-empty side, and a few outliers. */
function activations(count: number, seed = 1): Float32Array {
  const next = random(seed)
  return Float32Array.from({ length: count }, (_, i) => {
    const x = gauss(next)
    return i % 997 === 5 ? 20 * x : i % 3 === 0 ? Math.max(-0.17, x * 0.1) : x
  })
}

function gauss(next: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
}

function rangeOf(data: ArrayLike<number>): Range {
  return {
    min: Array.from(data).reduce((a, b) => Math.min(a, b)),
    max: Array.from(data).reduce((a, b) => Math.max(a, b)),
  }
}

function counted(data: Float32Array): Histogram {
  const { min, max } = rangeOf(data)
  return histogram(data, min, max) as Histogram
}

/** Data cut into parts, and the parts in some order. */
const divided = fc
  .array(
    fc.array(fc.oneof(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(0, -1e-30, 1e30, 3)), {
      minLength: 1,
      maxLength: 30,
    }),
    { minLength: 1, maxLength: 6 },
  )
  .chain((parts) =>
    fc.record({
      parts: fc.constant(parts.map((part) => Float32Array.from(part))),
      order: fc.shuffledSubarray([...parts.keys()], { minLength: parts.length }),
    }),
  )

function plainHistogram({ exponent, first, counts }: Histogram) {
  return { exponent, first, counts: Array.from(counts) }
}

describe('a histogram', () => {
  it('is the same however the elements were divided and in whatever order the parts were added', () => {
    fc.assert(
      fc.property(divided, ({ parts, order }) => {
        const whole = counted(Float32Array.from(parts.flatMap((part) => [...part])))
        const sum = order.reduce((s, i) => addHistogram(s, counted(parts[i] as Float32Array)), noElements)
        expect(plainHistogram(sum)).toEqual(plainHistogram(whole))
      }),
    )
  })

  it('holds every element in the bin whose bounds enclose it, small negative ones too', () => {
    fc.assert(
      fc.property(fc.float32Array({ minLength: 1, noNaN: true, noDefaultInfinity: true }), (data) => {
        const { exponent, first, counts } = counted(data)
        expect(counts.length).toBeLessThanOrEqual(mostBins)
        const expected = new Array(counts.length).fill(0)
        for (const x of data) expected[Math.floor(x / 2 ** exponent) - first]++
        expect(Array.from(counts)).toEqual(expected)
      }),
    )
    const { first, counts } = counted(Float32Array.of(-1e-30, 1))
    expect([first, counts[0], counts.length]).toEqual([-1, 1, mostBins / 2 + 2])
  })

  it('has no bins for what is infinite or not a number', () => {
    expect(histogram(Float32Array.of(1, Number.NaN), 1, Number.NaN)).toBeUndefined()
    expect(histogram(Float32Array.of(1, Number.POSITIVE_INFINITY), 1, Number.POSITIVE_INFINITY)).toBeUndefined()
  })

  it('of a constant is one bin', () => {
    expect(plainHistogram(counted(new Float32Array(7).fill(3)))).toMatchObject({ counts: [7] })
    expect(plainHistogram(counted(new Float32Array(7)))).toMatchObject({ first: 0, counts: [7] })
  })
})

describe('extremes by sample', () => {
  it('come out in the order of the samples whatever the order of the parts', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...Array(9).keys()], { minLength: 9 }), (order) => {
        const sum = order.reduce((s, i) => addRanges(s, { samples: [i], min: [-i], max: [i * i] }), noRanges())
        expect(sum).toEqual({
          samples: [...Array(9).keys()],
          min: [...Array(9).keys()].map((i) => -i),
          max: [...Array(9).keys()].map((i) => i * i),
        })
        expect(minMax(sum)).toEqual({ min: -8, max: 64 })
      }),
    )
  })

  it('are averaged as 0.9 of the old and 0.1 of the new, from the first sample on', () => {
    const average = movingAverage({ samples: [0, 1, 2], min: [-1, -2, -3], max: [10, 20, 0] })
    expect(average.min).toBeCloseTo(0.9 * (0.9 * -1 + 0.1 * -2) + 0.1 * -3, 12)
    expect(average.max).toBeCloseTo(0.9 * (0.9 * 10 + 0.1 * 20), 12)
  })
})

describe('channels', () => {
  it('have the extremes and means of all rows, however they were divided', () => {
    const part = (rows: readonly (readonly number[])[]) => ({
      axis: -1,
      rows: rows.length,
      min: Float32Array.from([0, 1].map((c) => Math.min(...rows.map((row) => row[c] as number)))),
      max: Float32Array.from([0, 1].map((c) => Math.max(...rows.map((row) => row[c] as number)))),
      sum: Float32Array.from([0, 1].map((c) => rows.reduce((sum, row) => sum + (row[c] as number), 0))),
    })
    const rows = [
      [1, -2],
      [3, 4],
      [-5, 0.5],
      [2, 2],
    ] as const
    for (const cut of [1, 2, 3]) {
      const [a, b] = [part(rows.slice(0, cut)), part(rows.slice(cut))]
      const statistics = channelStatistics(addChannels(addChannels(noChannels(b), b), a))
      expect(statistics).toEqual({
        axis: -1,
        min: Float64Array.of(-5, -2),
        max: Float64Array.of(3, 4),
        mean: Float64Array.of(0.25, 1.125),
      })
    }
  })
})

describe('moments', () => {
  const moments = (
    data: ArrayLike<number>,
    dims = [data.length],
    granularity: 'sequence' | 'token' | 'tensor' = 'sequence',
  ) => momentsOf({ dims, data: Float64Array.from(data) }, granularity)

  it('give Gaussian noise a kurtosis of 3 and a constant one of 0', () => {
    const next = random(3)
    const noise = Float64Array.from({ length: 200_000 }, () => gauss(next))
    expect(outliersOf(moments(noise), 'sequence').kurtosis).toBeCloseTo(3, 1)
    for (const constant of [0, 1, -7.5]) {
      for (const granularity of ['sequence', 'token', 'tensor'] as const) {
        const seen = outliersOf(moments(new Array(12).fill(constant), [3, 4], granularity), granularity)
        expect(seen).toEqual({ kurtosis: 0, infinityNorm: Math.abs(constant), largest: Math.abs(constant) })
      }
    }
    expect(kurtosisOf({ count: 1, m2: 0, m4: 0 })).toBe(0)
  })

  it('agree with a float64 reference: fourth central moment over the unbiased deviation to the fourth', () => {
    const data = Float64Array.from(activations(5000))
    const mean = data.reduce((a, b) => a + b) / data.length
    const central = (p: number) => data.reduce((sum, x) => sum + (x - mean) ** p, 0)
    const expected = central(4) / data.length / ((central(2) / (data.length - 1)) ** 2 + 1e-6)
    expect(outliersOf(moments(data), 'sequence').kurtosis / expected).toBeCloseTo(1, 12)
    expect(outliersOf(moments(data), 'tensor').kurtosis / expected).toBeCloseTo(1, 12)
  })

  it('are of each sequence, of each token, or of the tensor over all samples', () => {
    const rows = [Float32Array.from(activations(8, 1)), Float32Array.from(activations(8, 2))]
    const all = moments(
      rows.flatMap((row) => [...row]),
      [2, 8],
      'token',
    )
    const separate = rows.map((row) => outliersOf(moments(row), 'sequence'))
    const mean = (pick: (o: (typeof separate)[number]) => number) => separate.reduce((s, o) => s + pick(o), 0) / 2
    const tokens = outliersOf(all, 'token')
    expect(tokens.kurtosis).toBeCloseTo(
      mean((o) => o.kurtosis),
      12,
    )
    expect(tokens.infinityNorm).toBeCloseTo(
      mean((o) => o.infinityNorm),
      12,
    )
    expect(tokens.largest).toBe(Math.max(...separate.map((o) => o.largest)))
  })

  it('of parts make those of the whole to 1e-9, in any order and division', () => {
    const numbers = fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 20 })
    fc.assert(
      fc.property(fc.array(numbers, { minLength: 2, maxLength: 6 }), fc.nat(), (parts, turn) => {
        const at = turn % parts.length
        const turned = [...parts.slice(at), ...parts.slice(0, at)].reverse()
        const merged = turned.map((part) => moments(part) as Moments).reduce(mergeMoments)
        const whole = moments(parts.flat())
        for (const field of ['count', 'mean', 'm2', 'm3', 'm4'] as const) {
          const scale = { count: 1, mean: 100, m2: 100 ** 2, m3: 100 ** 3, m4: 100 ** 4 }[field] * whole.count
          expect(Math.abs(merged[field] - whole[field])).toBeLessThanOrEqual(1e-9 * scale)
        }
        expect(merged.largest).toBe(whole.largest)
      }),
    )
  })
})

describe('rows of attention', () => {
  const logsumexp = (row: readonly number[]) => {
    const most = Math.max(...row)
    return most + Math.log(row.reduce((sum, x) => sum + Math.exp(x - most), 0))
  }

  it('tell quantiles of L head by head, to the width of a bin', () => {
    const next = random(5)
    // [B, H, S, 1] with heads of very different L.
    const rows = Array.from({ length: 2 * 3 * 50 }, (_, i) => {
      const head = Math.floor(i / 50) % 3
      return logsumexp(Array.from({ length: 9 }, () => 2 * gauss(next) + 10 * head - 5))
    })
    const heads = logsumexpOfSample(Float32Array.from(rows), [2, 3, 50, 1], { axis: -3, count: 3, merged: false })
    for (const [head, { rows: seen, masked }] of heads.entries()) {
      const own = rows.filter((_, i) => Math.floor(i / 50) % 3 === head).sort((a, b) => a - b)
      expect([totalOf(seen), masked]).toEqual([100, 0])
      expect(Math.abs(quantile(seen, 0.5) - ((own[49] as number) + (own[50] as number)) / 2)).toBeLessThan(1 / 16)
      expect(Math.abs(quantile(seen, 0.001) - (own[0] as number))).toBeLessThanOrEqual(1 / 64)
    }
  })

  it('find heads that are merged behind the batch, and take all rows together where heads are not known', () => {
    const l = Float32Array.from([1, 1, 2, 2, 1, 1, 2, 2])
    const heads = logsumexpOfSample(l, [4, 2, 1], { axis: -3, count: 2, merged: true })
    expect(heads.map(({ rows }) => quantile(rows, 0.5))).toEqual([1 + 1 / 128, 2 + 1 / 128])
    expect(logsumexpOfSample(l, [4, 2, 1], undefined).map(({ rows }) => totalOf(rows))).toEqual([8])
  })

  it('count hidden rows apart', () => {
    const l = Float32Array.of(3, -3.4e38, Number.NaN, Number.NEGATIVE_INFINITY, -10_000)
    const [head] = logsumexpOfSample(l, [1, 1, 5, 1], undefined)
    expect([head?.masked, head && totalOf(head.rows)]).toEqual([4, 1])
  })

  it('are the same in any order and division, however far apart', () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -500, max: 500, noNaN: true }), { minLength: 2 }),
        fc.nat(),
        (values, cut) => {
          const at = cut % values.length
          const of = (part: readonly number[]) => logsumexpOfSample(Float32Array.from(part), [part.length], undefined)
          const whole = of(values)[0]
          const [a, b] = [values.slice(at), values.slice(0, at)].map((part) => of(part)[0] ?? noRows)
          const sum = addHeadRows(addHeadRows(noRows, a ?? noRows), b ?? noRows)
          expect(plainHistogram(sum.rows)).toEqual(plainHistogram(whole?.rows as Histogram))
        },
      ),
      { examples: [[[-0, 0, 0], 1]] },
    )
  })

  it('predict what a sink changes, and give the sink that changes no more than wanted', () => {
    const next = random(9)
    const l = Array.from({ length: 20_000 }, () => 3 + gauss(next))
    const [head] = logsumexpOfSample(Float32Array.from(l), [l.length], undefined)
    if (head === undefined) throw new Error('no head')
    const gates = (sink: number) => l.map((x) => 1 / (1 + Math.exp(sink - x)))
    for (const sink of [0, -2, 1]) {
      const change = changeOf(head, sink)
      expect(change?.gate).toBeCloseTo(gates(sink).reduce((a, b) => a + b) / l.length, 4)
      expect(change?.changed).toBeCloseTo(gates(sink).filter((g) => 1 - g > 0.1).length / l.length, 2)
    }
    const sink = calibratedSink(head, { maxChange: 0.02, quantile: 0.01 })
    const changed = gates(sink as number).filter((g) => 1 - g > 0.02).length / l.length
    expect(changed).toBeGreaterThan(0.008)
    expect(changed).toBeLessThan(0.012)
  })

  it('of a head without rows give no sink', () => {
    expect([calibratedSink(noRows), changeOf(noRows)]).toEqual([undefined, undefined])
  })
})

describe('ranges from a histogram', () => {
  const data = activations(40_000)
  const seen = counted(data)
  const range = rangeOf(data)

  function loss({ min, max }: Range): number {
    const step = (max - min) / 255
    const zero = Math.round(-min / step)
    return data.reduce((sum, x) => {
      const level = Math.min(255, Math.max(0, Math.round(x / step) + zero))
      return sum + (x - (level - zero) * step) ** 2
    }, 0)
  }

  it('cut a percentile in half at both ends', () => {
    const sorted = data.slice().sort()
    const width = 2 ** seen.exponent
    for (const percentile of [99, 99.9, 99.99]) {
      const { min, max } = percentileRange(seen, percentile)
      const cut = Math.round((sorted.length * (100 - percentile)) / 200)
      expect(Math.abs(min - (sorted[cut] as number))).toBeLessThan(2 * width + 0.05 * Math.abs(min))
      expect(Math.abs(max - (sorted[sorted.length - 1 - cut] as number))).toBeLessThan(2 * width + 0.05 * max)
    }
    expect(percentileRange(seen, 100).max).toBeGreaterThanOrEqual(range.max)
  })

  it('have a squared error within a percent of the best of a fine grid', () => {
    const best = leastLossRange(seen, range, squared)
    let least = Number.POSITIVE_INFINITY
    for (let i = 2; i <= 40; i++) {
      for (let j = 2; j <= 40; j++)
        least = Math.min(least, loss({ min: (range.min * i) / 40, max: (range.max * j) / 40 }))
    }
    expect(loss(best)).toBeLessThan(1.01 * least)
    expect(loss(best)).toBeLessThan(loss(range))
  })

  it('clip more with Huber than with squares, and squares more than min-max, where there are outliers', () => {
    const [h, s] = [leastLossRange(seen, range, huber), leastLossRange(seen, range, squared)]
    expect(h.max).toBeLessThan(s.max)
    expect(s.max).toBeLessThan(range.max)
    expect(h.min).toBeLessThanOrEqual(0)
  })

  it('keep a Gaussian and drop what is far out by entropy', () => {
    const next = random(4)
    const bulk = Float32Array.from({ length: 100_000 }, (_, i) => (i === 7 ? 100 : gauss(next)))
    const { min, max } = entropyRange(counted(bulk))
    expect(max).toBeGreaterThan(2.5)
    expect(max).toBeLessThan(12)
    expect(min).toBe(-max)
    const even = Float32Array.from({ length: 100_000 }, () => 2 * next() - 1)
    expect(entropyRange(counted(even)).max).toBeCloseTo(1, 1)
  })

  it('take the threshold of least divergence, by its definition', () => {
    const next = random(6)
    const magnitudes = Float32Array.from({ length: 20_000 }, (_, i) => (i === 7 ? 30 : Math.abs(gauss(next))))
    const { exponent, counts } = counted(magnitudes)
    const halves = Array.from({ length: Math.ceil(counts.length / 2) }, (_, i) => i)
    const bins = halves.map((i) => (counts[2 * i] as number) + (counts[2 * i + 1] ?? 0))
    const at = Math.round(entropyRange({ exponent, first: 0, counts }).max / 2 ** (exponent + 1))
    const least = halves
      .slice(127)
      .reduce((best, i) => Math.min(best, divergence(bins, i + 1)), Number.POSITIVE_INFINITY)
    expect(divergence(bins, at) / least).toBeCloseTo(1, 9)
  })

  /** Of the first `kept` bins, clipped, from themselves in 128 levels. */
  function divergence(bins: readonly number[], kept: number): number {
    const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)
    const [inside, beyond] = [bins.slice(0, kept), sum(bins.slice(kept))]
    const total = sum(inside)
    let result = 0
    for (let level = 0; level < 128; level++) {
      const [start, end] = [level, level + 1].map((l) => Math.floor((l * kept) / 128)) as [number, number]
      const own = inside.slice(start, end)
      const even = sum(own) / own.filter((n) => n > 0).length / total
      for (const [i, n] of own.entries()) {
        const p = (n + (start + i === kept - 1 ? beyond : 0)) / (total + beyond)
        if (p > 0) result += p * Math.log(p / (n === 0 ? Number.EPSILON : even))
      }
    }
    return result
  }
})

const python = pythonWith('numpy', 'onnxruntime.quantization.calibrate')

it.skipIf(python === undefined)("agree with numpy and with ONNX Runtime's own calibrators", () => {
  const data = activations(30_000, 8)
  const program = `
import json, sys, contextlib, io
import numpy as np
from onnxruntime.quantization.calibrate import HistogramCollector
x = np.array(json.load(sys.stdin), dtype=np.float32)
with contextlib.redirect_stdout(io.StringIO()):
    def collect(method):
        c = HistogramCollector(method=method, symmetric=False, num_bins=2048, num_quantized_bins=128, percentile=99.9, scenario='same')
        c.collect({'x': [x]})
        r = c.compute_collection_result()['x']
        return [float(r[0]), float(r[1])]
    p = collect('percentile')
d = x.astype(np.float64)
print(json.dumps({'percentile': p, 'numpy': [float(np.quantile(d, 0.0005)), float(np.quantile(d, 0.9995))],
  'minmax': [float(x.min()), float(x.max())], 'kurtosis': float(((d - d.mean())**4).mean() / (d.std(ddof=1)**4 + 1e-6))}))
`
  const expected = runPython(python as string, program, [...data]) as Record<string, [number, number]> & {
    kurtosis: number
  }
  const seen = counted(data)
  const width = 2 ** seen.exponent
  expect(rangeOf(data)).toEqual({ min: expected.minmax?.[0], max: expected.minmax?.[1] })
  expect(
    outliersOf(momentsOf({ dims: [data.length], data }, 'sequence'), 'sequence').kurtosis / expected.kurtosis,
  ).toBeCloseTo(1, 9)
  const percentile = percentileRange(seen, 99.9)
  for (const [i, end] of (['min', 'max'] as const).entries()) {
    // Neighbours so far out are far apart, and numpy interpolates between them.
    const slack = 0.03 * Math.abs(percentile[end]) + width
    expect(Math.abs(percentile[end] - (expected.numpy?.[i] as number))).toBeLessThan(slack)
    expect(Math.abs(percentile[end] - (expected.percentile?.[i] as number))).toBeLessThan(slack)
  }
})
