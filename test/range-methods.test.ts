import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { calibrate } from '../src/calibrate.ts'
import { openData } from '../src/data/index.ts'
import { split } from '../src/held-out.ts'
import type { Model } from '../src/ir/index.ts'
import { dtypes, Tensor } from '../src/ir/index.ts'
import { modelToBytes, openModel, parseModel } from '../src/onnx/index.ts'
import { quantize } from '../src/quantize.ts'
import { installedRuntime, openSession } from '../src/runtime/index.ts'
import { random } from '../src/runtime/random.ts'

const canRun = installedRuntime() !== undefined
if (!canRun) console.log('skipped: ranges of moved outliers in ONNX Runtime, which is not installed')

const size = 8
let folder = ''
let path = ''
let data = ''
let output = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-ranges-'))
  ;[path, data, output] = ['model.onnx', 'data.jsonl', 'out.onnx'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  const next = random(5)
  const values = (count: number) => Array.from({ length: count }, () => 2 * next() - 1)
  const text = `<ir_version: 8, opset_import: ["" : 17]>
    g (float[B,S,${size}] x) => (float[B,S,${size}] y)
    <float[${size}] gamma = ..., float[${size}] beta = ..., float[${size},${size}] w = ..., float[${size}] b = ...>
    {
       n = LayerNormalization <axis: int = -1> (x, gamma, beta)
       m = MatMul (n, w)
       a = Add (m, b)
       y = Add (a, n)
    }`
  const model = parseModel(text, {
    fill: ({ name, dtype, dims }) => Tensor.of(dtype, dims, values(dims.reduce((p, d) => p * d, 1)), name),
  })
  writeFileSync(path, modelToBytes(model))
  const row = () => values(size).map((x) => Number((x ** 3).toFixed(4)))
  const lines = Array.from({ length: 40 }, () => JSON.stringify({ x: [Array.from({ length: 16 }, row)] }))
  writeFileSync(data, `${lines.join('\n')}\n`)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What the one quantizer of the result reads, on the data of calibration; sorted. */
async function quantizedValues(model: Model): Promise<number[]> {
  const quantizer = [...model.graph.nodes()].find(({ op }) => op === 'QuantizeLinear')
  const value = quantizer?.input(0)
  if (!value) throw new Error('nothing is quantized')
  value.type = { kind: 'tensor', dtype: dtypes.float, shape: undefined }
  model.graph.setOutput(model.graph.outputs.length, value)
  const session = await openSession(modelToBytes(model), { optimization: 'disabled' })
  const found: number[] = []
  try {
    const { calibration } = split(await openData(data, openModel(path), {}))
    for await (const { feeds } of calibration.samples())
      found.push(...((await session.run(feeds))[value.name]?.toNumbers() ?? []))
  } finally {
    await session.close()
  }
  return found.sort((a, b) => a - b)
}

function rangeOfQuantizer(model: Model): { min: number; max: number } {
  const quantizer = [...model.graph.nodes()].find(({ op }) => op === 'QuantizeLinear')
  const [scale = 0, zero = 0] = [1, 2].map((port) => quantizer?.input(port)?.initializer?.toNumbers()[0])
  return { min: -zero * scale, max: (255 - zero) * scale }
}

describe.skipIf(!canRun)('ranges of values whose outliers were moved', () => {
  it('leave out the share of the moved values that a percentile says', async () => {
    await quantize(path, { data, range: { percentile: 90 }, output, overwrite: true, minCosine: 0 })
    const values = await quantizedValues(openModel(output))
    const { min, max } = rangeOfQuantizer(openModel(output))
    const at = (share: number) => values[Math.round(share * (values.length - 1))] as number
    const step = (max - min) / 255
    expect(Math.abs(min - at(0.05))).toBeLessThan(2 * step)
    expect(Math.abs(max - at(0.95))).toBeLessThan(2 * step)
    expect(max).toBeLessThan(0.9 * at(1))
  })

  it('hold all of them by default', async () => {
    const { warnings } = await quantize(path, { data, output, overwrite: true })
    const values = await quantizedValues(openModel(output))
    const { min, max } = rangeOfQuantizer(openModel(output))
    expect(min).toBeCloseTo(Math.min(0, values[0] as number), 1)
    expect(max).toBeCloseTo(values.at(-1) as number, 1)
    expect(warnings.filter(({ code }) => code === 'range-not-used')).toEqual([])
  })

  it.each(['moving-average', 'entropy', 'mse', 'huber'] as const)(
    'are within the extremes by %s, and no warning stands',
    async (range) => {
      const { warnings } = await quantize(path, { data, range, output, overwrite: true, minCosine: 0 })
      const values = await quantizedValues(openModel(output))
      const { min, max } = rangeOfQuantizer(openModel(output))
      const step = (max - min) / 255
      expect(min).toBeGreaterThanOrEqual((values[0] as number) - step)
      expect(max).toBeLessThanOrEqual((values.at(-1) as number) + step)
      expect(warnings.filter(({ code }) => code === 'range-not-used')).toEqual([])
    },
  )

  it('are the extremes where there is a table only, and that is said', async () => {
    const table = join(folder, 'table.json')
    await calibrate(path, { data, output: table, overwrite: true })
    const { warnings } = await quantize(path, { calibration: table, range: 'mse', output, overwrite: true })
    const [warning] = warnings.filter(({ code }) => code === 'range-not-used')
    expect(warning?.message).toContain('1 of 1 values')
    expect(warning?.message).toContain('"mse"')
    const plain = await quantize(path, { calibration: table, range: 'mse', smooth: false, output, overwrite: true })
    expect(plain.warnings.filter(({ code }) => code === 'range-not-used')).toEqual([])
  })
})

describe.skipIf(!canRun)('pre-executed dequantization', () => {
  it('makes steps of normalised values 1, with 0 in the middle, and results as near as before', async () => {
    const { quantization } = await quantize(path, { data, preDequantize: true, output, overwrite: true })
    const model = openModel(output)
    expect(rangeOfQuantizer(model)).toEqual({ min: -128, max: 127 })
    const values = await quantizedValues(model)
    // Every channel is centred, and reaches the end of the scale.
    expect(values[0]).toBeCloseTo(-127, 3)
    expect(values.at(-1)).toBeCloseTo(127, 3)
    expect(quantization.quality?.cosineMean).toBeGreaterThan(0.9999)
  })

  it('is refused beside outliers that are left where they are', async () => {
    const options = { data, preDequantize: true, smooth: false, output, overwrite: true }
    await expect(quantize(path, options)).rejects.toMatchObject({ code: 'usage' })
  })
})
