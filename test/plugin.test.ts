import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build as esbuild } from 'esbuild'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { rolldown } from 'rolldown'
import { createServer, build as viteBuild } from 'vite'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { PluginOptions } from '../src/plugin/index.ts'
import outeffhop from '../src/plugin/index.ts'
import { root } from './support/built.ts'
import { readNpz } from './support/npz.ts'

const fixture = join(root, 'fixtures/models/exports/bert.eager.ts14')
const variables = { ...process.env }
let folder = ''

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'outeffhop plugin-')))
  for (const name of ['src', '.git']) mkdirSync(join(folder, name))
  copyFileSync(`${fixture}.onnx`, join(folder, 'src/bert.onnx'))
  writeFileSync(join(folder, 'src/main.js'), "import url from './bert.onnx?outeffhop'\nexport default url\n")
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  process.env.OUTEFFHOP_CACHE_DIR = join(folder, 'cache')
})

afterEach(() => {
  process.env = { ...variables }
  rmSync(folder, { recursive: true, force: true })
})

const entry = () => join(folder, 'src/main.js')
const dist = () => join(folder, 'dist')

async function vite(options?: PluginOptions): Promise<string> {
  await viteBuild({
    root: folder,
    logLevel: 'silent',
    configFile: false,
    base: './',
    plugins: [outeffhop.vite(options)],
    build: { lib: { entry: entry(), formats: ['es'], fileName: 'main' }, assetsInlineLimit: 1e9 },
  })
  return emitted()
}

/** The model a bundler wrote. */
function emitted(): string {
  const [model] = readdirSync(dist(), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.onnx'))
  if (model === undefined) throw new Error(`no model in ${readdirSync(dist())}`)
  return join(dist(), model)
}

function isClose(actual: Float32Array, expected: Float32Array): boolean {
  return (
    actual.length === expected.length &&
    expected.every((y, i) => Math.abs((actual[i] ?? 1e9) - y) <= 1e-4 * (1 + Math.abs(y)))
  )
}

/** Runs a model in ONNX Runtime and compares with outputs computed with Softmax1 where it was exported. */
async function expectSoftmax1(path: string): Promise<void> {
  const arrays = readNpz(`${fixture}.npz`)
  const feeds: Record<string, Tensor> = {}
  for (const [name, { type, data, dims }] of arrays)
    if (name.startsWith('in.')) feeds[name.slice(3)] = new Tensor(type, data as Float32Array, dims)
  const session = await InferenceSession.create(readFileSync(path), { logSeverityLevel: 3 })
  const outputs = await session.run(feeds)
  for (const [name, { data }] of arrays)
    if (name.startsWith('s1.'))
      expect(isClose(outputs[name.slice(3)]?.data as Float32Array, data as Float32Array), name).toBe(true)
  await session.release()
}

describe('import url from "./model.onnx?outeffhop"', () => {
  it('in Vite gives the URL of the converted model', async () => {
    const model = await vite()
    expect(readFileSync(join(dist(), 'main.js'), 'utf8')).toContain(basename(model))
    await expectSoftmax1(model)
  })

  it('in the server of Vite gives a URL under which the model is served', async () => {
    const server = await createServer({
      root: folder,
      logLevel: 'silent',
      configFile: false,
      plugins: [outeffhop.vite()],
      server: { port: 0, host: '127.0.0.1' },
    })
    try {
      await server.listen()
      const { default: url } = (await server.ssrLoadModule('/src/main.js')) as { default: string }
      const response = await fetch(new URL(url, server.resolvedUrls?.local[0]))
      expect(response.status).toBe(200)
      writeFileSync(join(folder, 'served.onnx'), new Uint8Array(await response.arrayBuffer()))
      await expectSoftmax1(join(folder, 'served.onnx'))
    } finally {
      await server.close()
    }
  })

  it('in esbuild gives a path that can be loaded and run, with the config file of its working folder', async () => {
    writeFileSync(join(folder, 'outeffhop.config.json'), '{ "form": "primitives" }')
    await esbuild({
      entryPoints: [entry()],
      bundle: true,
      format: 'esm',
      outdir: dist(),
      absWorkingDir: folder,
      logLevel: 'silent',
      plugins: [outeffhop.esbuild()],
    })
    const { default: url } = (await import(pathToFileURL(join(dist(), 'main.js')).href)) as { default: string }
    await expectSoftmax1(join(dist(), url))
    expect(readFileSync(join(dist(), url)).includes('primitives')).toBe(true)
    expect(readdirSync(join(folder, 'node_modules/.cache/outeffhop-convert'))).toHaveLength(1)
  })

  it('in Rolldown gives the URL of an emitted file', async () => {
    const bundle = await rolldown({ input: entry(), plugins: [outeffhop.rolldown()], logLevel: 'silent' })
    await bundle.write({ dir: dist() })
    const { default: url } = (await import(pathToFileURL(join(dist(), 'main.js')).href)) as { default: string }
    await expectSoftmax1(fileURLToPath(url))
  })
})

describe('a model that is imported', () => {
  it('takes the settings of the environment, of the plugin and of the config file, in this order', async () => {
    writeFileSync(join(folder, 'outeffhop.config.json'), '{ "form": "zero-key", "sinks": -1, "provider": "cpu" }')
    process.env.OUTEFFHOP_SINKS = '0'
    const model = await vite({ form: 'primitives' })
    await expectSoftmax1(model)
    expect(readFileSync(model).includes('primitives')).toBe(true)
  })

  it('is quantized by the command of the settings', async () => {
    const model = await vite({ command: 'quantize', recipe: 'int8-dynamic', synthetic: true, samples: 4 })
    expect(readFileSync(model).includes('DynamicQuantizeLinear')).toBe(true)
  })

  it('is made again when the model whose choices it repeats changes', async () => {
    const recipe = join(folder, 'recipe.onnx')
    writeFileSync(recipe, readFileSync(await vite({ command: 'quantize', recipe: 'int8-dynamic' })))
    const kept = () => readdirSync(join(folder, 'cache')).length
    await vite({ command: 'quantize', recipe: 'recipe.onnx' })
    expect(kept()).toBe(2)
    writeFileSync(recipe, readFileSync(await vite({ command: 'quantize', recipe: 'weights-int8' })))
    await vite({ command: 'quantize', recipe: 'recipe.onnx' })
    expect(kept()).toBe(4)
  })

  it('is made each time with samples that a module gives: no file says what those are', async () => {
    const words = join(folder, 'words.json')
    writeFileSync(
      join(folder, 'samples.mjs'),
      `import { readFileSync } from 'node:fs'
       export default function* () {
         for (const ids of JSON.parse(readFileSync(${JSON.stringify(words)}, 'utf8'))) {
           const all = (value) => [ids.map(() => value)]
           yield { input_ids: [ids], attention_mask: all(1), token_type_ids: all(0) }
         }
       }`,
    )
    const quantized = async (...texts: number[][]) => {
      writeFileSync(words, JSON.stringify(texts))
      rmSync(dist(), { recursive: true, force: true })
      const settings = { command: 'quantize', recipe: 'int8', data: join(folder, 'samples.mjs') } as const
      return readFileSync(await vite({ ...settings, minCosine: 0 }))
    }
    const [first, other, again] = [
      await quantized([3, 4], [5, 6, 7]),
      await quantized([8, 9, 9], [2, 1]),
      await quantized([3, 4], [5, 6, 7]),
    ]
    expect(Buffer.compare(other, first)).not.toBe(0)
    expect(Buffer.compare(again, first)).toBe(0)
  })

  it('is made once, and again when the model or a setting changes', async () => {
    const first = await vite()
    const kept = () => readdirSync(join(folder, 'cache')).length
    const [name = ''] = readdirSync(join(folder, 'node_modules/.cache/outeffhop-convert'))
    const made = join(folder, 'node_modules/.cache/outeffhop-convert', name)
    const { mtimeMs } = statSync(made)
    await vite()
    expect([statSync(made).mtimeMs, kept()]).toEqual([mtimeMs, 1])

    const bytes = readFileSync(first)
    rmSync(join(folder, 'node_modules'), { recursive: true })
    expect(Buffer.compare(readFileSync(await vite()), bytes)).toBe(0)
    expect(kept()).toBe(1)

    rmSync(dist(), { recursive: true })
    expect(Buffer.compare(readFileSync(await vite({ sinks: '-2' })), bytes)).not.toBe(0)
    expect(kept()).toBe(2)
    copyFileSync(join(root, 'fixtures/models/exports/vit.sdpa.dynamo18.onnx'), join(folder, 'src/bert.onnx'))
    await vite()
    expect(kept()).toBe(3)
  })

  it('is made where nothing can be kept', async () => {
    writeFileSync(join(folder, 'cache'), 'a file where the cache should be')
    await expectSoftmax1(await vite())
  })

  it('is watched, with the config file', async () => {
    writeFileSync(join(folder, 'outeffhop.config.json'), '{ "provider": "cpu" }')
    const watched: string[] = []
    const bundle = await rolldown({
      input: entry(),
      plugins: [outeffhop.rolldown({ config: join(folder, 'outeffhop.config.json') })],
    })
    await bundle.generate()
    watched.push(...(await bundle.watchFiles))
    expect(watched).toContain(join(folder, 'src/bert.onnx'))
    expect(watched).toContain(join(folder, 'outeffhop.config.json'))
  })

  it('that cannot be converted is an error at its import, with what to do, and leaves nothing', async () => {
    writeFileSync(join(folder, 'src/bert.onnx'), 'no model')
    await expect(vite()).rejects.toThrow(/bert\.onnx.*\. .+/s)
    expect(existsSync(join(folder, 'node_modules/.cache/outeffhop-convert'))).toBe(false)
    writeFileSync(entry(), "import url from './gone.onnx?outeffhop'\nexport default url\n")
    await expect(vite()).rejects.toThrow('gone.onnx')
    await expect(vite({ provider: 'tpu' as 'cpu' })).rejects.toThrow(
      '"provider" in the options of the plugin is any, cpu',
    )
  })
})
