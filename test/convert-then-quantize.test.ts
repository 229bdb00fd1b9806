import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { main } from '../src/cli/main.ts'
import { convert } from '../src/convert.ts'
import { verify } from '../src/ir/index.ts'
import { openModel } from '../src/onnx/index.ts'
import { quantize } from '../src/quantize.ts'
import { ConversionRefused } from '../src/refused.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import { labelledExports } from './support/exports.ts'
import { random } from './support/random.ts'
import { recordedWorld } from './support/world.ts'

const canRun = installedRuntime() !== undefined
if (!canRun) console.log('skipped: quantization in ONNX Runtime, which is not installed')

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-both-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const bert = () => labelledExports().find(([name]) => name === 'bert.eager.ts14')?.[1] as string

/** Token sequences of different lengths, as a file. */
function writeTokens(count: number): string {
  const next = random(5)
  const sample = (_: unknown, i: number) => {
    const length = 6 + (i % 7)
    const row = (value: () => number) => [Array.from({ length }, value)]
    const input_ids = row(() => Math.floor(128 * next()))
    return JSON.stringify({ input_ids, attention_mask: row(() => 1), token_type_ids: row(() => 0) })
  }
  const path = join(folder, 'tokens.jsonl')
  writeFileSync(path, Array.from({ length: count }, sample).join('\n'))
  return path
}

const synthetic = { dataOptions: { synthetic: true, samples: 32 } } as const

describe.skipIf(!canRun)('convert with --quantize', () => {
  it('gives INT8 behind calibrated sinks that is as good as INT8 of the original, up to half as much error again', async () => {
    const output = join(folder, 'both.onnx')
    const { document } = await convert(bert(), { ...synthetic, output, quantize: 'int8', acceptDrift: true })
    expect(document).toMatchObject({
      command: 'convert',
      sink: 'calibrated',
      quantization: { recipe: 'int8', quantized: 13 },
    })
    expect(document.counts.converted).toBe(2)
    expect(document.verification?.ran).toBe(true)
    expect(document.files.map(({ path }) => path)).toEqual([output])
    expect(readdirSync(folder)).toEqual(['both.onnx'])
    verify(openModel(output))
    const alone = await quantize(bert(), { ...synthetic.dataOptions, output: join(folder, 'int8.onnx') })
    const [both, only] = [document.quantization?.quality, alone.quantization.quality]
    expect(both?.samples).toBe(only?.samples)
    expect(1 - (both?.cosineMean ?? 0)).toBeLessThan(1.5 * (1 - (only?.cosineMean ?? 0)))
  })

  it.each(['int8-dynamic', 'weights-int8', 'weights-int4'] as const)('takes the recipe %s', async (recipe) => {
    const output = join(folder, 'both.onnx')
    const quantizeTo = { recipe, minCosine: 0.9 }
    const { document } = await convert(bert(), { ...synthetic, output, quantize: quantizeTo, acceptDrift: true })
    expect(document.quantization).toMatchObject({ recipe })
    expect(document.quantization?.quality?.cosineMean).toBeGreaterThan(0.9)
    expect(document.counts.converted).toBe(2)
  })

  it('searches a recipe with auto, on the converted model, and writes down what it took', async () => {
    const [data, output] = [writeTokens(24), join(folder, 'both.onnx')]
    const world = recordedWorld()
    const args = [bert(), '--data', data, '--accept-drift', '--json', '-o', output]
    expect(await main([...args, '--quantize', 'auto'], world), world.err()).toBe(0)
    const { quantization, sink } = JSON.parse(world.out())
    expect(sink).toBe('calibrated')
    expect(quantization).toMatchObject({ quantized: 13, choice: { by: 'searched', keepFloat: [] } })
    expect(quantization.choice.tried[0]).toMatchObject({ recipe: 'int8', quantized: 13 })
    expect(quantization.quality.cosineMean).toBeGreaterThan(0.99)
    const model = openModel(output)
    verify(model)
    expect(model.metadata.get('outeffhop.recipe')).toBe(quantization.recipe)
  })

  it('keeps the fewest products in float that meet --max-drop, and says which', async () => {
    const [data, output] = [writeTokens(24), join(folder, 'both.onnx')]
    const quantized = async (...more: string[]) => {
      const world = recordedWorld()
      const args = [bert(), '--data', data, '--accept-drift', '--json', '--overwrite', '-o', output]
      expect(await main([...args, '--quantize', 'int8', ...more], world), world.err()).toBe(0)
      return JSON.parse(world.out()).quantization
    }
    const dropOf = (quantization: { quality: { cosineMean: number } }) => 1 - quantization.quality.cosineMean
    const all = dropOf(await quantized())
    const met = await quantized('--max-drop', `${all / 2}`)
    const { keepFloat } = met.choice
    expect(dropOf(met)).toBeLessThanOrEqual(all / 2)
    expect(keepFloat.length).toBeGreaterThan(0)
    expect(met.quantized).toBe(13 - keepFloat.length)
    expect(JSON.parse(openModel(output).metadata.get('outeffhop.keep-float') ?? '')).toEqual(keepFloat)
    // One product fewer in float is too few.
    const fewer = keepFloat.slice(0, -1).flatMap((name: string) => ['--keep-float', name])
    expect(dropOf(await quantized(...fewer))).toBeGreaterThan(all / 2)
  }, 240_000)

  it('compares with the original: sinks that take attention away are refused, as bad rounding is', async () => {
    const output = join(folder, 'both.onnx')
    const options = { ...synthetic, output, quantize: 'int8', acceptDrift: true } as const
    await expect(convert(bert(), { ...options, sink: 8 })).rejects.toMatchObject({ code: 'conversion-unlike' })
    expect(readdirSync(folder)).toEqual([])
  })

  it('refuses a result that rounding makes unlike the original, and writes nothing', async () => {
    const settings = { ...synthetic, output: join(folder, 'both.onnx'), acceptDrift: true }
    const quantizeTo = { recipe: 'int8', alpha: 0.01, symmetrize: false, minCosine: 0.9999 }
    const refused = await convert(bert(), { ...settings, quantize: quantizeTo }).catch((error) => error)
    expect(refused).toBeInstanceOf(ConversionRefused)
    expect(refused).toMatchObject({ code: 'quantization-unlike', exitCode: 1 })
    expect(refused.document.quantization.quality.cosineMean).toBeLessThan(0.9999)
    expect(readdirSync(folder)).toEqual([])
  })

  it('leaves nothing behind when it is stopped while the converted model is observed', async () => {
    const stop = new AbortController()
    const output = join(folder, 'both.onnx')
    const onProgress = (phase: string) => phase === 'observe' && stop.abort()
    const options = {
      ...synthetic,
      output,
      quantize: 'int8',
      acceptDrift: true,
      signal: stop.signal,
      onProgress,
    } as const
    await expect(convert(bert(), options)).rejects.toMatchObject({ code: 'interrupted' })
    expect(existsSync(output)).toBe(false)
    expect(readdirSync(folder)).toEqual([])
  })

  it('says in a dry run what it would quantize, without running the result', async () => {
    const { document } = await convert(bert(), { ...synthetic, quantize: 'int8', acceptDrift: true, dryRun: true })
    expect(document.quantization).toMatchObject({ recipe: 'int8', quantized: 13, quality: null, sizeRatio: null })
    expect(document.files).toEqual([])
    const world = recordedWorld()
    const args = [bert(), '--quantize', 'weights-int8', '--keep-float', '*query*', '--dry-run']
    expect(await main(args, world)).toBe(0)
    expect(world.out()).toMatch(/11 products would be quantized \(weights-int8\), 2 left in float/)
    expect(world.out()).toContain('was asked to stay in float')
  })

  it('says which runtime the integers need', async () => {
    const options = { ...synthetic, acceptDrift: true, dryRun: true }
    const needs = async (recipe: string) => (await convert(bert(), { ...options, quantize: recipe })).document.requires
    expect(await needs('weights-int8')).toMatchObject({ runtime: '1.22' })
    expect((await needs('weights-int8')).reasons[0]).toContain('MatMulNBits')
    expect((await needs('weights-int4')).runtime).toBe('1.19')
  })

  it('is one command with one document', async () => {
    const world = recordedWorld()
    const args = [bert(), '--quantize', 'int8', '--synthetic', '--samples', '8', '--accept-drift', '--json']
    expect(await main([...args, '-o', join(folder, 'both.onnx')], world)).toBe(0)
    const document = JSON.parse(world.out())
    expect(document).toMatchObject({ command: 'convert', quantization: { recipe: 'int8', quantized: 13 } })
  })

  it('says what it needs: data, and the recipe the other flags are about', async () => {
    const world = recordedWorld()
    expect(await main([bert(), '--quantize', 'int8', '-o', join(folder, 'both.onnx')], world)).toBe(2)
    expect(world.err()).toContain('--data')
    const idle = recordedWorld()
    expect(await main([bert(), '--alpha', '0.5', '-o', join(folder, 'both.onnx')], idle)).toBe(2)
    expect(idle.err()).toContain('--quantize')
  })
})
