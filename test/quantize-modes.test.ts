import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { calibrate } from '../src/calibrate.ts'
import { convert } from '../src/convert.ts'
import { openModel, parseModel, saveModel } from '../src/onnx/index.ts'
import type { QuantizeOptions } from '../src/quantize.ts'
import { quantize } from '../src/quantize.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import { labelledExports } from './support/exports.ts'
import { runtimeOrSkip } from './support/ort.ts'
import { random } from './support/random.ts'

const installed = installedRuntime() !== undefined
if (!installed) console.log('skipped: onnxruntime-node is not installed')

let folder = ''
const at = (name: string) => join(folder, name)
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-modes-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** How many nodes of each operator the graph has that ONNX Runtime makes of a file before it runs it. */
async function kernels(file: string): Promise<Readonly<Record<string, number>>> {
  const ort = await runtimeOrSkip()
  const optimized = `${file}.optimized`
  const options = {
    optimizedModelFilePath: optimized,
    logSeverityLevel: 3,
    graphOptimizationLevel: 'extended',
  } as const
  await (await ort?.InferenceSession.create(file, options))?.release()
  const counts: Record<string, number> = {}
  for (const { opType } of openModel(optimized).graph.nodes()) counts[opType] = (counts[opType] ?? 0) + 1
  return counts
}

const bert = labelledExports().find(([name]) => name === 'bert.eager.ts14')?.[1] as string

describe.skipIf(!installed)('ONNX Runtime multiplies integers', () => {
  // Two layers of six products, three of which read one value, and a pooler that is a Gemm.
  it.each([
    ['int8', { MatMulIntegerToFloat: 12, QGemm: 1 }],
    ['int8-dynamic', { MatMulIntegerToFloat: 6, DynamicQuantizeMatMul: 7 }],
    ['weights-int8', { MatMulNBits: 13 }],
    ['weights-int4', { MatMulNBits: 13 }],
  ] as const)(
    'in all 13 products of a model in the mode %s, and in what is converted too',
    async (recipe, expected) => {
      const data: QuantizeOptions = recipe === 'int8' ? { synthetic: true, samples: 8 } : {}
      const { quantization } = await quantize(bert, { recipe, output: at(`${recipe}.onnx`), minCosine: 0.5, ...data })
      expect(quantization.quantized).toBe(13)
      expect(await kernels(at(`${recipe}.onnx`))).toMatchObject(expected)
      await convert(bert, {
        output: at(`${recipe}.softmax1.onnx`),
        quantize: { recipe, minCosine: 0.1 },
        dataOptions: { synthetic: true, samples: 8 },
      })
      expect(await kernels(at(`${recipe}.softmax1.onnx`))).toMatchObject(expected)
    },
  )
})

describe.skipIf(!installed)('a range of static activations', () => {
  const rows = 40
  const values = Array.from({ length: rows }, (_, row) => {
    const next = random(row + 1)
    // The sum of twelve is nearly Gaussian; one element is far out.
    return Array.from({ length: 64 }, (_, i) => {
      const gaussian = Array.from({ length: 12 }, () => next()).reduce((a, b) => a + b, -6)
      return Math.fround(row === 20 && i === 7 ? 40 : gaussian)
    })
  })
  beforeAll(async () => {
    const weight = (i: number) => (((i * 7) % 11) - 5) / 8
    const fill = Array.from({ length: 256 }, (_, i) => weight(i)).join(', ')
    const text = `<ir_version: 8, opset_import: ["" : 17]>
      g (float[1,16,4] x) => (float[1,16,64] y) <float[4,64] w = {${fill}}> { y = MatMul (x, w) }`
    await saveModel(parseModel(text), at('linear.onnx'))
    const lines = values.map((row) => JSON.stringify({ x: { dims: [1, 16, 4], data: row } }))
    writeFileSync(at('rows.jsonl'), lines.join('\n'))
    await calibrate(at('linear.onnx'), { data: at('rows.jsonl') })
  })

  /** The range that QuantizeLinear represents in a model quantized by a method. */
  async function represented(range: QuantizeOptions['range'], smooth = false): Promise<{ min: number; max: number }> {
    const output = at('ranged.onnx')
    const calibration = at('linear.calibration.json')
    await quantize(at('linear.onnx'), { calibration, range, smooth, output, overwrite: true, biasCorrection: false })
    const node = [...openModel(output).graph.nodes()].find(({ opType }) => opType === 'QuantizeLinear')
    const [scale, zero] = [1, 2].map((i) => node?.inputs[i]?.initializer?.toNumbers()[0] ?? Number.NaN) as [
      number,
      number,
    ]
    return { min: -scale * zero, max: scale * (255 - zero) }
  }
  const step = 40 / 255
  const sorted = values.flat().sort((a, b) => a - b)

  it('is that of the extremes by default', async () => {
    const { min, max } = await represented(undefined)
    expect(Math.abs(max - 40)).toBeLessThan(step)
    expect(Math.abs(min - (sorted[0] as number))).toBeLessThan(step)
    expect(await represented('min-max')).toEqual({ min, max })
  })

  it('is the average of 0.9 old and 0.1 new extremes, in the order of the samples', async () => {
    const average = (pick: (...row: number[]) => number) =>
      values.map((row) => pick(...row)).reduce((old, each) => 0.9 * old + 0.1 * each)
    const { min, max } = await represented('moving-average')
    expect(Math.abs(max - average(Math.max))).toBeLessThan(0.05)
    expect(Math.abs(min - average(Math.min))).toBeLessThan(0.05)
  })

  it('leaves out half of what is outside of a percentile at each end', async () => {
    const { min, max } = await represented({ percentile: 99 })
    const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] as number
    expect(Math.abs(max - at(0.995))).toBeLessThan(0.1)
    expect(Math.abs(min - at(0.005))).toBeLessThan(0.1)
  })

  it('has the least squared error: neither a wider nor a narrower one has clearly less', async () => {
    const error = (range: { min: number; max: number }) => {
      const scale = (range.max - range.min) / 255
      return values.flat().reduce((sum, x) => {
        const level = Math.min(Math.max(Math.round((x - range.min) / scale), 0), 255)
        return sum + (x - range.min - level * scale) ** 2
      }, 0)
    }
    const best = await represented('mse')
    for (const factor of [0.8, 0.9, 1.1, 1.25])
      expect(error({ min: best.min, max: best.max * factor })).toBeGreaterThan(0.97 * error(best))
  })

  it.each(['entropy', 'huber'] as const)('drops what is far out and keeps the others by %s', async (method) => {
    const { min, max } = await represented(method)
    const beyond = values.flat().filter((x) => x < min || x > max)
    expect(max).toBeLessThan(30)
    expect(beyond.length).toBeLessThan(0.02 * sorted.length)
  })
})

describe.skipIf(!installed)('a sample that goes bad in the middle of the work', () => {
  it.each(['calibrate', 'quantize'] as const)('stops %s, and leaves no file behind', async (command) => {
    const lines = Array.from({ length: 12 }, (_, i) => JSON.stringify({ x: i === 9 ? [1e39, 1] : [i, 1] }))
    writeFileSync(at('late.jsonl'), lines.join('\n').replace('1e+39', '1e39'))
    const text = `<ir_version: 8, opset_import: ["" : 17]>
      g (float[B,2] x) => (float[B,2] y) <float[2,2] w = {1, 2, 3, 4}> { y = MatMul (x, w) }`
    await saveModel(parseModel(text), at('late.onnx'), { overwrite: true })
    const output = at(`late.${command}`)
    const work =
      command === 'calibrate'
        ? calibrate(at('late.onnx'), { data: at('late.jsonl'), output })
        : quantize(at('late.onnx'), { data: at('late.jsonl'), output })
    await expect(work).rejects.toMatchObject({ kind: 'data' })
    expect(() => readFileSync(output)).toThrow('ENOENT')
  })
})
