import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { main } from '../src/cli/main.ts'
import type { Model } from '../src/ir/index.ts'
import { Tensor } from '../src/ir/index.ts'
import { modelToBytes, openModel, parseModel } from '../src/onnx/index.ts'
import { quantize } from '../src/quantize.ts'
import type { Attempt } from '../src/recipe-search.ts'
import { mostAccurate } from '../src/recipe-search.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import { random } from '../src/runtime/random.ts'
import { fewestInFloat, sensitivity } from '../src/sensitivity.ts'
import { recordedWorld } from './support/world.ts'

const canRun = installedRuntime() !== undefined
if (!canRun) console.log('skipped: recipes in ONNX Runtime, which is not installed')

let folder = ''
let path = ''
let data = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-recipes-'))
  path = join(folder, 'model.onnx')
  data = join(folder, 'data.jsonl')
  writeFileSync(path, modelToBytes(outlierModel(100)))
  writeFileSync(data, samples(24))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const size = 16
const outputOf = (name: string) => join(folder, name)

/** Two products behind a normalisation: `hard` reads a channel that is `factor` times as large, `easy` a tame one. */
function outlierModel(factor: number): Model {
  const next = random(3)
  const numbers = (count: number, change = (x: number, _: number) => x) =>
    Array.from({ length: count }, (_, i) => change(2 * next() - 1, i))
  const text = `<ir_version: 8, opset_import: ["" : 17]>
    block (float[B,S,${size}] residual) => (float[B,S,${size}] y)
    <float[${size}] gamma = ..., float[${size}] beta = ..., float[${size},${size}] w = ..., float[${size}] b = ...,
     float[${size},${size}] v = ..., float[${size},${size}] u = ...>
    {
       x = LayerNormalization <axis: int = -1> (residual, gamma, beta)
       [hard] m = MatMul (x, w)
       a = Add (m, b)
       t = Tanh (a)
       [easy] n = MatMul (t, v)
       s = Tanh (n)
       [last] o = MatMul (s, u)
       y = Add (o, residual)
    }`
  const square = () => numbers(size * size)
  const fills: Record<string, () => number[]> = {
    gamma: () => numbers(size, (_, i) => (i === 5 ? factor : 1)),
    beta: () => numbers(size, (x, i) => (i === 5 ? factor * x : x)),
    w: () => numbers(size * size, (x, i) => (Math.floor(i / size) === 5 ? x / factor : x)),
    b: () => numbers(size),
    v: square,
    u: square,
  }
  return parseModel(text, { fill: ({ name, dtype, dims }) => Tensor.of(dtype, dims, fills[name]?.() ?? [], name) })
}

function samples(count: number): string {
  const next = random(7)
  const row = () => Array.from({ length: size }, () => Number((2 * next() - 1).toFixed(4)))
  const sample = () => JSON.stringify({ residual: [Array.from({ length: 6 }, row)] })
  return `${Array.from({ length: count }, sample).join('\n')}\n`
}

describe('the choice among recipes', () => {
  const attempt = (recipe: Attempt['recipe'], sqnrDb: number, quantized = 4): Attempt => ({
    ...{ recipe, quantized },
    quality: {
      ...{ samples: 8, elements: 9, maxAbs: 0, meanAbs: 0, relative: 0, cosine: { mean: 1, worst: 1 }, sqnrDb },
      ...{ notFinite: 0, neither: 0, outside: 0, unlikeShapes: 0 },
    },
  })

  it('is the first, unless another has clearly less noise', () => {
    expect(mostAccurate([attempt('int8', 30), attempt('int8-plain', 30.2)])).toBe('int8')
    expect(mostAccurate([attempt('int8', 30), attempt('int8-plain', 31)])).toBe('int8-plain')
  })

  it('is none that leaves more in float, however accurate', () => {
    expect(mostAccurate([attempt('int8', 30), attempt('int8-mse', 60, 3)])).toBe('int8')
  })
})

describe('the fewest products in float', () => {
  it('are as many of the worst as meet the target, and no fewer do', async () => {
    const noises = [8, 4, 2, 1, 0.5, 0.25]
    const ranked = noises.map((noise, i) => ({ node: `p${i}`, noise }))
    const measure = async (names: readonly string[]) => noises.slice(names.length).reduce((a, b) => a + b, 0) * 1.3
    expect((await fewestInFloat(ranked, 5, measure)).names).toEqual(['p0', 'p1'])
    expect((await fewestInFloat(ranked, 100, measure)).names).toEqual([])
    await expect(fewestInFloat(ranked, 1e-9, measure)).rejects.toMatchObject({ code: 'quantization-drop' })
  })
})

describe.skipIf(!canRun)('--recipe auto', () => {
  it('ends with the first that is clearly accurate enough, writes its choice down, and it can be replayed', async () => {
    const { quantization } = await quantize(path, { data, recipe: 'auto', output: outputOf('auto.onnx') })
    const { recipe, choice, quantized } = quantization
    expect(choice.by).toBe('searched')
    expect(quantized).toBe(3)
    const sqnr = new Map(choice.tried.map((tried) => [tried.recipe, tried.sqnrDb ?? 0]))
    expect(sqnr.has(recipe)).toBe(true)
    expect(recipe).toBe('int8')
    expect(openModel(outputOf('auto.onnx')).metadata.get('outeffhop.recipe')).toBe(recipe)
    const again = await quantize(path, { data, recipe: outputOf('auto.onnx'), output: outputOf('again.onnx') })
    expect(again.quantization).toMatchObject({ recipe, choice: { by: 'written', tried: [] } })
  })

  it('tries one after the other where the first is not enough, and takes no plain rounding where a channel is an outlier', async () => {
    const { quantization } = await quantize(path, { data, minCosine: 0.999999, output: outputOf('all.onnx') }).catch(
      (error) => error.document,
    )
    const { recipe, choice } = quantization
    const sqnr = new Map<string, number>(
      choice.tried.map((tried: { recipe: string; sqnrDb: number }) => [tried.recipe, tried.sqnrDb]),
    )
    expect(sqnr.size).toBeGreaterThan(4)
    expect(recipe).not.toBe('int8-plain')
    expect(sqnr.get(recipe)).toBeGreaterThan((sqnr.get('int8-plain') ?? 0) + 6)
  })

  it('is the default with data, but not for made-up inputs, nor beside a setting of a recipe', async () => {
    const output = outputOf('out.onnx')
    const options = { output, overwrite: true }
    const byOf = async (more: object) => (await quantize(path, { ...options, ...more })).quantization
    expect(await byOf({ data })).toMatchObject({ recipe: 'int8', choice: { by: 'searched' } })
    expect(await byOf({ data, alpha: 0.6 })).toMatchObject({ recipe: 'int8', choice: { by: 'default', tried: [] } })
    await expect(byOf({ synthetic: true, recipe: 'auto' })).rejects.toMatchObject({ code: 'usage' })
    expect(await byOf({ data, recipe: 'int8-plain', minCosine: 0 })).toMatchObject({
      recipe: 'int8-plain',
      choice: { by: 'asked' },
    })
    const both = quantize(path, { ...options, data, recipe: 'auto', alpha: 0.6 })
    await expect(both).rejects.toMatchObject({ code: 'usage' })
    await expect(quantize(path, { ...options, data, recipe: 'int8-plane' })).rejects.toMatchObject({ code: 'usage' })
  })
})

describe.skipIf(!canRun)('sensitivity', () => {
  it('ranks products as quantizing each alone does', async () => {
    const { products } = await sensitivity(path, { data, recipe: 'int8-plain' })
    expect(products[0]?.node).toBe('hard')
    const names = products.map(({ node }) => node)
    const alone: [string, number][] = []
    for (const name of names) {
      const keepFloat = names.filter((other) => other !== name)
      const output = outputOf(`${name}.onnx`)
      const { quantization } = await quantize(path, { data, recipe: 'int8-plain', keepFloat, output, minCosine: 0 })
      alone.push([name, quantization.quality?.sqnrDb ?? 0])
    }
    expect(alone.sort((a, b) => a[1] - b[1]).map(([name]) => name)).toEqual(names)
  })

  it('is a command that prints excludes to paste, or one document', async () => {
    const world = recordedWorld()
    expect(await main(['sensitivity', path, '--data', data, '--recipe', 'int8-plain'], world)).toBe(0)
    expect(world.out()).toContain("--keep-float 'hard'")
    const json = recordedWorld()
    expect(await main(['sensitivity', path, '--data', data, '--json'], json)).toBe(0)
    expect(JSON.parse(json.out())).toMatchObject({ command: 'sensitivity', recipe: 'int8' })
  })
})

describe.skipIf(!canRun)('--max-drop', () => {
  it('is a number, and needs data', async () => {
    for (const options of [
      { data, maxDrop: Number.NaN },
      { data, maxDrop: -1 },
      { synthetic: true, maxDrop: 0.1 },
    ])
      await expect(quantize(path, { ...options, output: outputOf('out.onnx') })).rejects.toMatchObject({
        code: 'usage',
      })
  })

  it('meets its target with fewer products in float than taking them in file order, and says which', async () => {
    const options = { data, recipe: 'int8-plain', overwrite: true, minCosine: 0 }
    const dropWith = async (keepFloat: string[]) => {
      const { quantization } = await quantize(path, { ...options, keepFloat, output: outputOf('one.onnx') })
      return 1 - (quantization.quality?.cosineMean ?? 0)
    }
    const [hard, last] = [await dropWith(['hard']), await dropWith(['last'])]
    expect(hard).toBeLessThan(last)
    const maxDrop = (hard + last) / 2
    const { quantization } = await quantize(path, { ...options, maxDrop, output: outputOf('out.onnx') })
    expect(quantization.choice.keepFloat).toEqual(['hard'])
    expect(1 - (quantization.quality?.cosineMean ?? 0)).toBeLessThanOrEqual(maxDrop)
    const again = await quantize(path, { data, recipe: outputOf('out.onnx'), minCosine: 0, output: outputOf('b.onnx') })
    expect(again.quantization.float).toBe(1)
  })
})
