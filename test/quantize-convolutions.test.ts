import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { expect, test } from 'vitest'
import { quantizeConvolutions } from '../passes/quantize-convolutions.ts'
import type { Model } from '../src/ir/index.ts'
import { dtypes, Tensor } from '../src/ir/index.ts'
import { modelToBytes, openModel, parseModel } from '../src/onnx/index.ts'
import { Facts } from '../src/ops/index.ts'
import type { QuantizationSettings, ValueStatistics } from '../src/quantize/index.ts'
import { defaultSettings, Quantization, visibleRange } from '../src/quantize/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import { random } from '../src/runtime/random.ts'
import { targets } from '../src/targets/index.ts'

const [channels, results, positions] = [256, 72, 20]
const target = { target: targets.get('ort')!, version: undefined, provider: 'any' } as const

/** A large convolution behind nothing, whose result hard-swish reads. Channel 0 of the weight is as good as dead. */
function model(): Model {
  const next = random(23)
  return parseModel(
    `<ir_version: 8, opset_import: ["" : 13]>
     g (float[1,${channels},4,5] x) => (float[1,${results},4,5] y)
     <float[${results},${channels},1,1] w = ..., float[${results}] b = ...> {
       ["/conv"] c = Conv (x, w, b)
       h = HardSigmoid <alpha: float = 0.16666667, beta: float = 0.5> (c)
       y = Mul (c, h)
     }`,
    {
      fill({ name, dtype, dims }) {
        const size = dims.reduce((a, b) => a * b, 1)
        const isDead = (i: number): boolean => name === 'w' && i < channels
        const values = Array.from({ length: size }, (_, i) => (2 * next() - 1) * (isDead(i) ? 1e-30 : 0.2))
        return Tensor.of(dtype, dims, values, name)
      },
    },
  )
}

/** Data whose first channels are `outlier` times as large as the others. */
function data(outlier: number): Float32Array {
  const next = random(5)
  const largeOf = (i: number): number => (i < 4 * positions ? outlier : 1)
  return Float32Array.from({ length: channels * positions }, (_, i) => (2 * next() - 0.5) * largeOf(i))
}

async function run(bytes: Uint8Array, x: Float32Array, fetch = 'y'): Promise<Float32Array> {
  const session = await InferenceSession.create(bytes, { logSeverityLevel: 3, intraOpNumThreads: 1 })
  const outputs = await session.run({ x: new OrtTensor('float32', x, [1, channels, 4, 5]) })
  await session.release()
  return outputs[fetch]!.data as Float32Array
}

/** What a calibration over `x` alone would have seen. */
async function quantization(x: Float32Array, settings: Partial<QuantizationSettings>): Promise<Quantization> {
  const open = openModel(modelToBytes(model()))
  open.graph.setOutput(1, open.graph.values.get('c')!)
  const seen = new Map<string, ValueStatistics>([
    ['x', statistics(x, channels)],
    ['c', statistics(await run(modelToBytes(open), x, 'c'), results)],
  ])
  return new Quantization((name) => seen.get(name), { ...defaultSettings, convolutions: true, ...settings })
}

function statistics(values: Float32Array, count: number): ValueStatistics {
  const rows = Array.from({ length: count }, (_, c) => values.subarray(c * positions, (c + 1) * positions))
  const by = (f: (row: Float32Array) => number): Float64Array => Float64Array.from(rows, f)
  const range = { min: Math.min(...values), max: Math.max(...values) }
  const mean = by((row) => row.reduce((a, b) => a + b, 0) / positions)
  const [min, max] = [by((row) => Math.min(...row)), by((row) => Math.max(...row))]
  return { range, channels: { axis: -3, min, max, mean }, rangeBy: () => range }
}

async function quantized(x: Float32Array, settings: Partial<QuantizationSettings> = {}) {
  const made = model()
  const with8Bits = await quantization(x, settings)
  runPipeline(made, [quantizeConvolutions], { target, quantization: with8Bits })
  return { made, report: with8Bits.products }
}

/** Norm of the error over the norm of the exact result. */
async function error(x: Float32Array, settings: Partial<QuantizationSettings> = {}): Promise<number> {
  const { made } = await quantized(x, settings)
  const [exact, rounded] = [await run(modelToBytes(model()), x), await run(modelToBytes(made), x)]
  const norm = (f: (i: number) => number): number => Math.sqrt(exact.reduce((sum, _, i) => sum + f(i) ** 2, 0))
  return norm((i) => (exact[i] as number) - (rounded[i] as number)) / norm((i) => exact[i] as number)
}

test('8 bits keep the result, also where the bias of a dead channel is far larger than its weights', async () => {
  const x = data(1)
  expect(await error(x)).toBeLessThan(0.01)
  const { made, report } = await quantized(x)
  expect(report).toEqual([{ node: '/conv', op: 'Conv', quantized: true, reason: null, notes: [] }])
  const bias = [...made.graph.values.values()].find((value) => value.name === 'b/int32')?.initializer
  expect(bias?.dtype).toBe(dtypes.int32)
  // Without a larger scale of its weights the bias of channel 0 would need more than 32 bits.
  for (const b of bias!.toNumbers()) expect(Math.abs(b)).toBeLessThanOrEqual(2 ** 30 + 64)
})

test('channels of outliers are survived with the migration and not without it', async () => {
  const x = data(100)
  const [plain, smooth] = [await error(x, { alpha: undefined }), await error(x)]
  expect(smooth).toBeLessThan(plain / 2)
})

test('the bias takes up the mean of what rounding the weights changes', async () => {
  const x = data(1).map((value) => value + 3)
  const rough = { reduceRange: true }
  expect(await error(x, rough)).toBeLessThan(await error(x, { ...rough, biasCorrection: false }))
})

test('ONNX Runtime runs it as one integer convolution', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'outeffhop-'))
  try {
    const path = join(folder, 'optimized.onnx')
    const { made } = await quantized(data(1), { alpha: undefined })
    const options = { logSeverityLevel: 3, graphOptimizationLevel: 'extended', optimizedModelFilePath: path } as const
    await (await InferenceSession.create(modelToBytes(made), options)).release()
    const ops = [...openModel(readFileSync(path)).graph.nodes()].map((node) => node.opType)
    expect(ops.filter((op) => op === 'QLinearConv')).toHaveLength(1)
    expect(ops.filter((op) => op === 'Conv' || op === 'FusedConv')).toEqual([])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a range is cut to what all readers of a value can tell apart', () => {
  const range = { min: -8, max: 9 }
  const cut = (body: string): unknown => {
    const { graph } = parseModel(
      `<ir_version: 8, opset_import: ["" : 13]> g (float[N] x) => (float[N] y) <float one = {1}, float six = {6}> {${body}}`,
    )
    return visibleRange(graph.values.get('v')!, range, new Facts())
  }
  expect(cut('v = Neg (x) y = Relu (v)')).toEqual({ min: 0, max: 9 })
  expect(cut('v = Neg (x) y = Clip (v, one, six)')).toEqual({ min: 1, max: 6 })
  expect(cut('v = Neg (x) y = HardSigmoid <alpha: float = 0.25, beta: float = 0.5> (v)')).toEqual({ min: -2, max: 2 })
  expect(cut('v = Neg (x) r = Relu (v) y = Add (r, v)')).toEqual(range)
  expect(cut('v = Neg (x) h = HardSigmoid (x) y = Mul (v, h)')).toEqual(range)
})
