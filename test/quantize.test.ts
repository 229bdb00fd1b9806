import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { passes } from '../passes/index.ts'
import { main } from '../src/cli/main.ts'
import type { Model } from '../src/ir/index.ts'
import { dtypes, Tensor, verify } from '../src/ir/index.ts'
import { modelToBytes, openModel, parseModel, saveModel } from '../src/onnx/index.ts'
import { targetOf } from '../src/options.ts'
import type { QuantizationSettings } from '../src/quantize/index.ts'
import { defaultSettings, Quantization } from '../src/quantize/index.ts'
import { quantize } from '../src/quantize.ts'
import { QuantizationRefused } from '../src/refused.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import type { Feeds } from '../src/runtime/index.ts'
import { generateFeeds, installedRuntime, openSession } from '../src/runtime/index.ts'
import { random } from '../src/runtime/random.ts'
import { inputsOfExport, labelledExports } from './support/exports.ts'
import { observe } from './support/observe.ts'
import { runtimeOrSkip } from './support/ort.ts'
import { recordedWorld } from './support/world.ts'

const canRun = installedRuntime() !== undefined
if (!canRun) console.log('skipped: quantization in ONNX Runtime, which is not installed')

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-quantize-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Runs passes of two stages, or of one, as `quantize` does. */
function apply(model: Model, quantization: Quantization, stages: readonly string[] = ['adapt', 'quantize']): void {
  const chosen = passes.filter(({ stage }) => stages.includes(stage))
  runPipeline(model, chosen, { target: targetOf({}), quantization, opset: 13 })
  verify(model)
}

async function run(model: Model, feeds: Feeds): Promise<Record<string, Tensor>> {
  const session = await openSession(modelToBytes(model), { threads: 1 })
  try {
    return await session.run(feeds)
  } finally {
    await session.close()
  }
}

/** The largest of |a - b| / (1 + |a|) over all float outputs. */
function distance(expected: Record<string, Tensor>, actual: Record<string, Tensor>): number {
  let worst = 0
  for (const [name, tensor] of Object.entries(expected)) {
    if (tensor.dtype !== dtypes.float) continue
    const other = actual[name]?.toNumbers(1 << 24) ?? []
    for (const [i, x] of tensor.toNumbers(1 << 24).entries()) {
      const d = x === other[i] ? 0 : Math.abs(x - (other[i] ?? Number.NaN)) / (1 + Math.abs(x))
      worst = Number.isNaN(d) ? Number.POSITIVE_INFINITY : Math.max(worst, d)
    }
  }
  return worst
}

describe.skipIf(!canRun)('moving outliers into weights', () => {
  it.each(labelledExports())('keeps the outputs of %s', async (_, path) => {
    const feeds = inputsOfExport(path)
    const read = () => openModel(path)
    const statistics = await observe(read, [feeds])
    const expected = await run(read(), feeds)
    for (const preDequantize of [false, true]) {
      const model = read()
      apply(model, new Quantization(statistics, { ...defaultSettings, preDequantize }), ['adapt'])
      expect(distance(expected, await run(model, feeds))).toBeLessThanOrEqual(1e-4)
    }
  })

  it('survives an outlier channel that plain rounding does not', async () => {
    const read = () => outlierModel(100)
    const samples = [1, 2, 3, 4].map(
      (seed) => generateFeeds(read(), { batch: 1, other: 16, past: 0 }, seed).feeds ?? {},
    )
    const statistics = await observe(read, samples)
    const expected = await run(read(), samples[0] as Feeds)
    const errorWith = async (settings: Partial<QuantizationSettings>) => {
      const model = read()
      apply(model, new Quantization(statistics, { ...defaultSettings, ...settings }))
      return distance(expected, await run(model, samples[0] as Feeds))
    }
    const [plain, smooth] = [await errorWith({ alpha: undefined, biasCorrection: false }), await errorWith({})]
    expect(plain).toBeGreaterThan(0.2)
    expect(smooth).toBeLessThan(plain / 8)
  })
})

describe.skipIf(!canRun)('int8 in ONNX Runtime', () => {
  it('uses its integer kernels for every quantized product, and dequantizes no weight', async () => {
    const ort = await runtimeOrSkip()
    const [, path] = labelledExports().find(([name]) => name === 'bert_classifier_probs.sdpa.ts17') ?? []
    if (!ort || path === undefined) return
    const feeds = inputsOfExport(path)
    const quantization = new Quantization(await observe(() => openModel(path), [feeds]))
    const model = openModel(path)
    apply(model, quantization)
    const optimized = join(folder, 'optimized.onnx')
    const file = join(folder, 'quantized.onnx')
    await saveModel(model, file)
    const options = {
      optimizedModelFilePath: optimized,
      logSeverityLevel: 3,
      graphOptimizationLevel: 'extended',
    } as const
    await (await ort.InferenceSession.create(file, options)).release()
    const counts = new Map<string, number>()
    for (const node of openModel(optimized).graph.nodes()) counts.set(node.opType, (counts.get(node.opType) ?? 0) + 1)
    // Two layers of six products each; pooler and classifier are Gemm.
    expect(quantization.products.filter(({ quantized }) => quantized)).toHaveLength(14)
    expect(counts.get('MatMulIntegerToFloat')).toBe(12)
    expect(counts.get('QGemm')).toBe(2)
    expect(counts.get('DequantizeLinear') ?? 0).toBe(0)
    expect(counts.get('QLinearMatMul')).toBeUndefined()
  })
})

describe.skipIf(!canRun)('other recipes', () => {
  const recipes = [
    ['int8-dynamic', 0.999],
    ['weights-int8', 0.999],
    ['weights-int4', 0.94],
  ] as const
  it.each(recipes)('%s needs no data, and its outputs are those of the model up to rounding', async (recipe, least) => {
    for (const name of ['bert_classifier_probs.sdpa.ts17', 't5.eager.ts14', 'llama.sdpa.dynamo18']) {
      const path = labelledExports().find(([label]) => label === name)?.[1] as string
      const output = join(folder, `${name}.onnx`)
      const { quantization } = await quantize(path, { recipe, output })
      expect(quantization.quality).toBeNull()
      expect(quantization.quantized).toBeGreaterThan(10)
      const feeds = inputsOfExport(path)
      const [expected, actual] = [await run(openModel(path), feeds), await run(openModel(output), feeds)]
      expect(cosine(expected, actual), name).toBeGreaterThan(least)
    }
  })

  it('uses the kernel that takes ranges while it runs, with the bias inside', async () => {
    const ort = await runtimeOrSkip()
    const path = labelledExports().find(([name]) => name === 'bert.eager.ts14')?.[1]
    if (!ort || path === undefined) return
    const [file, optimized] = [join(folder, 'dynamic.onnx'), join(folder, 'optimized.onnx')]
    await quantize(path, { recipe: 'int8-dynamic', output: file })
    const options = {
      optimizedModelFilePath: optimized,
      logSeverityLevel: 3,
      graphOptimizationLevel: 'extended',
    } as const
    await (await ort.InferenceSession.create(file, options)).release()
    const operators = [...openModel(optimized).graph.nodes()].map((node) => node.opType)
    expect(operators.filter((op) => op === 'MatMulInteger')).toEqual([])
    const fused = operators.filter((op) => op === 'MatMulIntegerToFloat' || op === 'DynamicQuantizeMatMul')
    expect(fused).toHaveLength(13)
  })
})

/** Of all float outputs as one vector. */
function cosine(expected: Record<string, Tensor>, actual: Record<string, Tensor>): number {
  let [product, a, b] = [0, 0, 0]
  for (const [name, tensor] of Object.entries(expected)) {
    if (tensor.dtype !== dtypes.float) continue
    const other = actual[name]?.toNumbers(1 << 24) ?? []
    for (const [i, x] of tensor.toNumbers(1 << 24).entries()) {
      const y = other[i] ?? Number.NaN
      product += x * y
      a += x * x
      b += y * y
    }
  }
  return product / Math.sqrt(a * b)
}

/** A post-norm block whose normalisation has one channel `factor` times as large, undone by the weight behind it. */
function outlierModel(factor: number): Model {
  const size = 16
  const next = random(3)
  const numbers = (count: number, change = (x: number, _: number) => x) =>
    Array.from({ length: count }, (_, i) => change(2 * next() - 1, i))
  const text = `<ir_version: 8, opset_import: ["" : 17]>
    block (float[B,S,${size}] residual) => (float[B,S,${size}] y)
    <float[${size}] gamma = ..., float[${size}] beta = ..., float[${size},${size}] w = ..., float[${size}] b = ...>
    {
       x = LayerNormalization <axis: int = -1> (residual, gamma, beta)
       m = MatMul (x, w)
       a = Add (m, b)
       t = Tanh (a)
       y = Add (t, residual)
    }`
  const fills: Record<string, () => number[]> = {
    gamma: () => numbers(size, (_, i) => (i === 5 ? factor : 1)),
    beta: () => numbers(size, (x, i) => (i === 5 ? factor * x : x)),
    w: () => numbers(size * size, (x, i) => (Math.floor(i / size) === 5 ? x / factor : x)),
    b: () => numbers(size),
  }
  return parseModel(text, {
    fill: ({ name, dtype, dims }) => Tensor.of(dtype, dims, fills[name]?.() ?? [], name),
  })
}

describe.skipIf(!canRun)('quantize', () => {
  const bert = () => labelledExports().find(([name]) => name === 'bert.eager.ts14')?.[1] as string

  it('writes a model like its input, and says what it quantized and how good it is', async () => {
    const output = join(folder, 'out.onnx')
    const document = await quantize(bert(), { synthetic: true, samples: 9, output })
    const { quantization, files, calibration } = document
    expect(quantization).toMatchObject({ recipe: 'int8', quantized: 13, float: 0 })
    expect(quantization.quality?.cosineMean).toBeGreaterThan(0.99)
    expect(quantization.quality?.samples).toBe(1)
    expect(quantization.sizeRatio).toBeGreaterThan(0)
    expect(quantization.latencyRatio).toBeGreaterThan(0)
    expect(calibration).toMatchObject({ samples: 8, synthetic: true })
    expect(files.map(({ path }) => path)).toEqual([output])
    verify(openModel(output))
  })

  it('leaves in float what it is told to, and says why', async () => {
    const output = join(folder, 'out.onnx')
    const { quantization } = await quantize(bert(), {
      synthetic: true,
      samples: 2,
      output,
      keepFloat: '*intermediate*',
    })
    const kept = quantization.products.filter((product) => !product.quantized)
    expect(kept).toHaveLength(2)
    expect(kept.every(({ reason }) => reason === 'was asked to stay in float')).toBe(true)
  })

  it('keeps weights in seven bits where it is asked to', async () => {
    const output = join(folder, 'out.onnx')
    await quantize(bert(), { synthetic: true, samples: 2, output, reduceRange: true })
    const integers = [...openModel(output).graph.values.values()].filter(({ initializer }) => initializer?.dtype === 3)
    const largest = Math.max(...integers.flatMap(({ initializer }) => (initializer?.toNumbers() ?? []).map(Math.abs)))
    expect(largest).toBe(63)
  })

  it('refuses a result that does not resemble the input, names who is to blame, and writes nothing', async () => {
    const output = join(folder, 'out.onnx')
    const refused = await quantize(bert(), { synthetic: true, samples: 3, output, minCosine: 1.5 }).catch((e) => e)
    expect(refused).toBeInstanceOf(QuantizationRefused)
    expect(refused).toMatchObject({ code: 'quantization-unlike', exitCode: 1 })
    expect(refused.at.node).toBeTruthy()
    expect(refused.document.quantization.quality.cosineMean).toBeLessThan(1.5)
    expect(readdirSync(folder)).toEqual([])
  })

  it('refuses a model in which nothing can be quantized, with the reasons', async () => {
    const path = join(folder, 'branch.onnx')
    const text = `<ir_version: 8, opset_import: ["" : 17]>
      g (float[B,S,2] x, bool c) => (float[B,S,2] y) <float[2,2] w = {0.5,-0.25,0.125,1.0}>
      { y = If (c) <then_branch: graph = t () => (float[B,S,2] p) { p = MatMul (x, w) },
                    else_branch: graph = e () => (float[B,S,2] q) { q = Neg (x) }> }`
    writeFileSync(path, modelToBytes(parseModel(text)))
    const refused = await quantize(path, { synthetic: true, samples: 2 }).catch((e) => e)
    expect(refused).toMatchObject({ code: 'quantization-nothing', exitCode: 1 })
    expect(refused.document.quantization.products[0].reason).toContain('branch')
    expect(readdirSync(folder)).toEqual(['branch.onnx'])
  })

  it('raises a model that is too old for scales by channel', async () => {
    const path = join(folder, 'old.onnx')
    const text = `<ir_version: 8, opset_import: ["" : 11]>
      g (float[B,S,2] x) => (float[B,S,2] y) <float[2,2] w = {0.5,-0.25,0.125,1.0}> { y = MatMul (x, w) }`
    writeFileSync(path, modelToBytes(parseModel(text)))
    const output = join(folder, 'out.onnx')
    const { quantization } = await quantize(path, { synthetic: true, samples: 4, output })
    expect(quantization.quantized).toBe(1)
    expect(openModel(output).opset).toBe(13)
  })

  it('is a command that prints what it did, or one document', async () => {
    const output = join(folder, 'out.onnx')
    const args = ['quantize', bert(), '--synthetic', '--samples', '3', '-o', output]
    const world = recordedWorld()
    expect(await main(args, world)).toBe(0)
    expect(world.out()).toContain('13 products quantized (int8), 0 left in float.')
    expect(world.out()).toContain('made-up inputs')
    const json = recordedWorld()
    expect(await main([...args, '--overwrite', '--json', '--keep-float', '*pooler*'], json)).toBe(0)
    expect(JSON.parse(json.out()).quantization).toMatchObject({ recipe: 'int8', quantized: 12, float: 1 })
  })

  it.each([
    [{ sample: 3 }, '"sample"'],
    [{ minCosine: '1' }, 'the option "minCosine" is a number, not "1"'],
    [{ onBadSample: 'ignore' }, '"onBadSample"'],
  ])('names the option that is wrong: %j', async (options, words) => {
    const error = await quantize(bert(), options as never).catch((e) => e)
    expect(error).toMatchObject({ code: 'usage', exitCode: 2, message: expect.stringContaining(words) })
  })

  it('needs data for ranges that are fixed', async () => {
    const world = recordedWorld()
    expect(await main(['quantize', bert(), '-o', join(folder, 'out.onnx')], world)).toBe(2)
    expect(world.err()).toContain('--data')
  })
})
