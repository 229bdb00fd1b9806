import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { main } from '../src/cli/main.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import { ensureBuilt, root } from './support/built.ts'
import { recordedWorld } from './support/world.ts'

const installed = installedRuntime() !== undefined
if (!installed) console.log('skipped: onnxruntime-node is not installed')

let folder = ''
const at = (name: string) => join(folder, name)
beforeAll(() => {
  ensureBuilt()
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-library-'))
  mkdirSync(at('node_modules'))
  symlinkSync(root, at('node_modules/outeffhop-convert'), 'junction')
  writeFileSync(at('package.json'), '{ "type": "module" }')
  writeFileSync(at('model.onnx'), readFileSync(join(root, 'fixtures/models/exports/bert.eager.ts14.onnx')))
  const rows = Array.from({ length: 20 }, (_, row) => {
    const ids = Array.from({ length: 5 + (row % 7) }, (_, i) => (row * 31 + i * 17) % 90)
    return JSON.stringify({ input_ids: ids, attention_mask: ids.map(() => 1), token_type_ids: ids.map(() => 0) })
  })
  writeFileSync(at('rows.jsonl'), rows.join('\n'))
}, 120_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What a program prints as JSON that stands in a project which has the built package installed. */
function printed(program: string) {
  writeFileSync(at('program.js'), program)
  const { status, stdout, stderr } = spawnSync(process.execPath, ['program.js'], { cwd: folder, encoding: 'utf8' })
  expect([status, stderr]).toEqual([0, ''])
  return JSON.parse(stdout)
}

/** What the command line prints as JSON in the same folder. */
async function told(...args: string[]) {
  const world = recordedWorld()
  expect(await main([...args, '--json'], world), world.err()).toBe(0)
  return JSON.parse(world.out())
}

describe.skipIf(!installed)('the package, imported as users do,', () => {
  it('opens data for a model and gives its samples', () => {
    const program = `import { closeModel, openData, openModel } from 'outeffhop-convert'
      const model = openModel('model.onnx')
      const source = await openData('rows.jsonl', model, { samples: 3, seed: 1 })
      const dims = []
      for await (const { id, feeds } of source.samples()) dims.push([id, feeds.input_ids.dims[0], Object.keys(feeds).length])
      closeModel(model)
      console.log(JSON.stringify({ size: source.size, kind: source.manifest.kind, dims }))`
    expect(printed(program)).toEqual({
      size: 3,
      kind: 'jsonl',
      dims: Array(3).fill([expect.stringMatching(/^rows\.jsonl:\d+$/), 1, 3]),
    })
  })

  it('calibrates as the command line does, in parts as well, and quantizes by the table', async () => {
    const { whole, merged, quantized } =
      printed(`import { calibrate, mergeCalibrations, quantize } from 'outeffhop-convert'
      const data = 'rows.jsonl'
      const whole = await calibrate('model.onnx', { data })
      for (const index of [1, 2]) await calibrate('model.onnx', { data, shard: { index, count: 2 }, output: 'part' + index })
      const merged = await mergeCalibrations(['part2', 'part1'], { output: 'merged.json' })
      const quantized = await quantize('model.onnx', { calibration: 'merged.json', output: 'by-table.onnx' })
      console.log(JSON.stringify({ whole, merged, quantized }))`)
    expect(whole).toMatchObject({ command: 'calibrate', complete: true, table: { path: 'model.calibration.json' } })
    expect(merged.data.samples).toBe(20)
    expect(quantized.quantization.quantized).toBeGreaterThan(10)
    await told('calibrate', at('model.onnx'), '--data', at('rows.jsonl'), '-o', at('by-command.json'))
    const tables = ['model.calibration.json', 'by-command.json'].map((name) =>
      JSON.parse(readFileSync(at(name), 'utf8')),
    )
    expect(tables[0]).toEqual(tables[1])
    expect(tables[0].settings).toEqual({ all: false, histograms: true, moments: null })
  })

  it('quantizes as the command line does, to the byte', async () => {
    const document = printed(`import { quantize } from 'outeffhop-convert'
      console.log(JSON.stringify(await quantize('model.onnx', { data: 'rows.jsonl' })))`)
    expect(existsSync(at('model.int8.onnx'))).toBe(true)
    const byCommand = await told('quantize', at('model.onnx'), '--data', at('rows.jsonl'), '-o', at('by-command.onnx'))
    expect(byCommand.quantization.quality).toEqual(document.quantization.quality)
    expect(document.quantization.latencyRatio).toBeGreaterThan(0)
    expect(readFileSync(at('by-command.onnx')).equals(readFileSync(at('model.int8.onnx')))).toBe(true)
  })

  it('ranks products as the command line does', async () => {
    const { products } = printed(`import { sensitivity } from 'outeffhop-convert'
      const options = { data: 'rows.jsonl', samples: 6, keepFloat: '*attention*' }
      console.log(JSON.stringify(await sensitivity('model.onnx', options)))`)
    expect(products.length).toBeGreaterThan(3)
    const flags = ['--data', at('rows.jsonl'), '--samples', '6', '--keep-float', '*attention*']
    expect((await told('sensitivity', at('model.onnx'), ...flags)).products).toEqual(products)
  })

  it.each([
    ['calibrate', `calibrate('model.onnx', { data: 'rows.jsonl', methods: 'all' })`, 'methods'],
    ['mergeCalibrations', `mergeCalibrations(['part1'], { output: 'x.json', force: true })`, 'force'],
    ['openData', `openData('rows.jsonl', openModel('model.onnx'), { sample: 3 })`, 'sample'],
  ])('%s names an option that does not exist', (name, call, option) => {
    const imports = name === 'openData' ? 'openData, openModel' : name
    const { code, message } = printed(`import { ${imports} } from 'outeffhop-convert'
      await ${call}.catch(({ code, message }) => console.log(JSON.stringify({ code, message })))`)
    expect(code).toBe('usage')
    expect(message).toContain(`"${option}"`)
  })
})
