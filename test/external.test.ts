import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ConvertError } from '../src/errors.ts'
import type { Model } from '../src/ir/index.ts'
import { DerivedPayload, dtypes, Tensor } from '../src/ir/index.ts'
import { closeModel, modelToBytes, openModel, parseModel, saveModel } from '../src/onnx/index.ts'
import { elements, externalConstantModel, externalModel, inlineModel, weights } from './support/external-model.ts'
import { runFloats, runtimeOrSkip } from './support/ort.ts'
import { decodeAll } from './support/static-decode.ts'
import { writeSynthetic } from './support/synthetic.ts'

const ort = await runtimeOrSkip()
let folder: string
const opened: Model[] = []

beforeEach(() => {
  folder = mkdtempSync(join(realpathSync(tmpdir()), 'outeffhop-'))
  mkdirSync(join(folder, 'outside'))
  mkdirSync(join(folder, 'home', 'sub'), { recursive: true })
  for (const path of ['home/w.bin', 'home/sub/w.bin', 'outside/w.bin']) writeFileSync(join(folder, path), weights)
  writeFileSync(join(folder, 'home/far.bin'), Buffer.concat([Buffer.alloc(4096), weights, Buffer.alloc(3)]))
})

afterEach(() => {
  for (const model of opened.splice(0)) closeModel(model)
  rmSync(folder, { recursive: true, force: true })
})

function open(path: string, options: Parameters<typeof openModel>[1] = {}): Model {
  const model = openModel(path, options)
  opened.push(model)
  return model
}

/** Writes a model into the home folder and opens it. */
function place(bytes: Buffer, name = 'm.onnx', options: Parameters<typeof openModel>[1] = {}): Model {
  const path = join(folder, 'home', name)
  writeFileSync(path, bytes)
  return open(path, options)
}

function weightOf(model: Model): Tensor {
  const tensor = model.graph.values.get('w')?.initializer
  if (!tensor) throw new Error('the model has no initializer w')
  return tensor
}

function readWeight(model: Model): Buffer {
  const { payload } = weightOf(model)
  return Buffer.from(payload?.read(0, payload.byteLength) ?? Buffer.of())
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof ConvertError) return error.code
    throw error
  }
}

async function codeOfSave(model: Model, path: string, options: Parameters<typeof saveModel>[2]): Promise<string> {
  const error = await saveModel(model, path, options).catch((thrown: unknown) => thrown)
  if (error instanceof ConvertError) return error.code
  throw new Error(`no typed error: ${error}`)
}

type Entries = readonly (readonly [string, string])[]
const at = (location: string, ...rest: Entries): Entries => [['location', location], ...rest]

describe('external data that is read', () => {
  it.each<[string, Entries]>([
    ['a file beside the model', at('w.bin')],
    ['a file in a folder', at('sub/w.bin')],
    ['a location with a dot', at('./w.bin')],
    ['a location that goes out and in again', at('sub/../w.bin')],
    ['offset and length', at('far.bin', ['offset', '4096'], ['length', '4096'])],
    ['an offset alone', at('far.bin', ['offset', '4096'])],
    ['a checksum, which nobody verifies', at('w.bin', ['checksum', '0000'])],
    ['entries we do not know', at('w.bin', ['basepath', '/etc'], ['basepath', '/usr'])],
  ])('%s', (_, entries) => {
    const bytes = externalModel(entries)
    const model = place(bytes)
    expect(readWeight(model).equals(weights)).toBe(true)
    expect(Buffer.from(modelToBytes(model)).equals(bytes)).toBe(true)
  })

  it('a link inside the folder, a hard link, and the cache of Hugging Face, but not with strictLinks', () => {
    const home = join(folder, 'home')
    symlinkSync('w.bin', join(home, 'link.bin'))
    linkSync(join(home, 'far.bin'), join(home, 'hard.bin'))
    for (const entries of [at('link.bin'), at('hard.bin', ['offset', '4096'])]) {
      expect(readWeight(place(externalModel(entries))).equals(weights)).toBe(true)
      const strict = place(externalModel(entries), 'm.onnx', { strictLinks: true })
      expect(codeOf(() => readWeight(strict))).toBe('external-refused')
    }
    mkdirSync(join(folder, 'cache/blobs'), { recursive: true })
    mkdirSync(join(folder, 'cache/snapshots'))
    writeFileSync(join(folder, 'cache/blobs/0a'), externalModel(at('w.bin')))
    writeFileSync(join(folder, 'cache/blobs/0b'), weights)
    symlinkSync('../blobs/0a', join(folder, 'cache/snapshots/m.onnx'))
    symlinkSync('../blobs/0b', join(folder, 'cache/snapshots/w.bin'))
    expect(readWeight(open(join(folder, 'cache/snapshots/m.onnx'))).equals(weights)).toBe(true)
  })

  it('of a Constant node', () => {
    const model = place(externalConstantModel(at('w.bin')))
    const [node] = model.graph.nodes()
    const value = node?.attributes.get('value')
    expect(value?.kind === 'tensor' && Buffer.from(value.value.payload?.read(0, 4096) ?? '').equals(weights)).toBe(true)
  })

  it('of a model given as bytes, from the folder that is named', () => {
    const bytes = externalModel(at('w.bin'))
    expect(readWeight(openModel(bytes, { folder: join(folder, 'home') })).equals(weights)).toBe(true)
    expect(codeOf(() => readWeight(openModel(bytes)))).toBe('external-without-folder')
  })

  it('of many files, of which few are open at a time', () => {
    for (let i = 0; i < 100; i++) {
      writeFileSync(join(folder, `home/${i}.bin`), weights)
      const model = place(externalModel(at(`${i}.bin`)), `${i}.onnx`)
      expect(readWeight(model).equals(weights)).toBe(true)
    }
  })
})

describe('external data that is refused', () => {
  it.each<[string, string, Entries]>([
    ['a file outside', 'external-refused', at('../outside/w.bin')],
    ['a way out and back in by name', 'external-refused', at('../home/../outside/w.bin')],
    ['an absolute path', 'external-malformed', at('/etc/passwd')],
    ['a drive', 'external-malformed', at('C:/w.bin')],
    ['a backslash', 'external-malformed', at('sub\\w.bin')],
    ['a NUL', 'external-malformed', at('w.bin\0x')],
    ['no location', 'external-malformed', [['offset', '0']]],
    ['an empty location', 'external-malformed', at('')],
    ['two locations', 'external-malformed', [...at('w.bin'), ...at('sub/w.bin')]],
    ['two offsets', 'external-malformed', at('w.bin', ['offset', '0'], ['offset', '0'])],
    ['a negative offset', 'external-malformed', at('w.bin', ['offset', '-1'])],
    ['a hexadecimal offset', 'external-malformed', at('w.bin', ['offset', '0x10'])],
    ['an offset beyond 2^53', 'external-malformed', at('w.bin', ['offset', '9999999999999999'])],
    ['an offset of 20 digits', 'external-malformed', at('w.bin', ['offset', '18446744073709551616'])],
    ['an offset past the end', 'external-malformed', at('w.bin', ['offset', '4'])],
    ['a length that is not the size', 'data-size', at('w.bin', ['length', '4095'])],
    ['a missing file', 'external-missing', at('missing.bin')],
    ['a folder', 'external-refused', at('sub')],
    ['the folder itself', 'external-refused', at('.')],
  ])('%s', (_, code, entries) => {
    const bytes = externalModel(entries)
    const model = place(bytes)
    expect(codeOf(() => readWeight(model))).toBe(code)
    // The model can still be looked at and written as it is.
    expect(Buffer.from(modelToBytes(model)).equals(bytes)).toBe(true)
  })

  it('links and linked folders that lead outside', () => {
    symlinkSync('../outside/w.bin', join(folder, 'home/link.bin'))
    symlinkSync('../outside', join(folder, 'home/linked'))
    for (const location of ['link.bin', 'linked/w.bin']) {
      expect(codeOf(() => readWeight(place(externalModel(at(location)))))).toBe('external-refused')
    }
  })

  it('a file that is shorter than the dims, and one that changed after it was read', () => {
    const model = place(externalModel(at('w.bin'), elements * 2))
    expect(codeOf(() => readWeight(model))).toBe('external-malformed')
  })

  it('strings', () => {
    const bytes = externalModel(at('w.bin'))
    // Element type 8 is string.
    bytes[bytes.indexOf(Buffer.from([0x10, 0x01, 0x42])) + 1] = 8
    expect(codeOf(() => weightOf(place(bytes)).payload?.read(0, 8))).toBe('external-malformed')
  })
})

const input = new Float32Array(elements).fill(1)
const expected = Float32Array.from({ length: elements }, (_, i) => Math.fround(1 + weights.readFloatLE(i * 4)))

/** The model as it is read by protobufjs, its external files, and its output in ONNX Runtime. */
async function expectWorks(path: string): Promise<{ tensor: { externalData: { key: string; value: string }[] } }> {
  const reopened = open(path)
  expect(readWeight(reopened).equals(weights)).toBe(true)
  if (ort) expect(await runFloats(ort, path, input, [elements])).toEqual(expected)
  return { tensor: decodeAll(readFileSync(path)).graph.initializer[0] }
}

describe('external data that is written', () => {
  it('always: weights go into one file beside the model, named by its content', async () => {
    const model = place(inlineModel())
    const path = join(folder, 'home/out.onnx')
    const files = await saveModel(model, path, { externalData: 'always', hash: true })
    expect(files.map((file) => basename(file.path))).toEqual([
      'out.onnx',
      expect.stringMatching(/^out\.onnx\.[0-9a-f]{8}\.data$/),
    ])
    expect(files[1]?.bytes).toBe(weights.length)
    expect(readFileSync(files[1]?.path as string).equals(weights)).toBe(true)
    const { tensor } = await expectWorks(path)
    expect(tensor.externalData.map(({ key, value }) => [key, value])).toEqual([
      ['location', basename(files[1]?.path as string)],
      ['offset', '0'],
      ['length', String(weights.length)],
    ])
    expect(readdirSync(join(folder, 'home')).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  it('the same input gives the same bytes and names, another input another name', async () => {
    const save = async (name: string, bytes: Buffer) => {
      mkdirSync(join(folder, name))
      const files = await saveModel(openModel(bytes), join(folder, name, 'out.onnx'), { externalData: 'always' })
      return files.map((file) => [basename(file.path), readFileSync(file.path).toString('hex')])
    }
    const first = await save('1', inlineModel())
    expect(await save('2', inlineModel())).toEqual(first)
    const other = Buffer.from(weights)
    other[2000] = (other[2000] as number) + 1
    expect((await save('3', inlineModel(other)))[1]?.[0]).not.toBe(first[1]?.[0])
  })

  it('link: weights stay in the input file', async () => {
    const model = place(inlineModel(), 'input.onnx')
    const path = join(folder, 'home/out.onnx')
    const files = await saveModel(model, path, { externalData: 'link' })
    expect(files).toHaveLength(1)
    expect(files[0]?.bytes).toBeLessThan(500)
    const { tensor } = await expectWorks(path)
    const entries = Object.fromEntries(tensor.externalData.map(({ key, value }) => [key, value]))
    expect(entries.location).toBe('input.onnx')
    const start = Number(entries.offset)
    expect(
      readFileSync(join(folder, 'home/input.onnx'))
        .subarray(start, start + weights.length)
        .equals(weights),
    ).toBe(true)
  })

  it('link from a folder above the input works, from beside it does not, and never into the input', async () => {
    writeFileSync(join(folder, 'home/sub/input.onnx'), inlineModel())
    const model = open(join(folder, 'home/sub/input.onnx'))
    const above = join(folder, 'home/above.onnx')
    await saveModel(model, above, { externalData: 'link' })
    await expectWorks(above)
    expect(await codeOfSave(model, join(folder, 'outside/out.onnx'), { externalData: 'link' })).toBe('link-outside')
    const self = { externalData: 'link', overwrite: true } as const
    expect(await codeOfSave(model, join(folder, 'home/sub/input.onnx'), self)).toBe('output-is-input')
    expect(await codeOfSave(openModel(inlineModel()), join(folder, 'home/x.onnx'), { externalData: 'link' })).toBe(
      'link-without-file',
    )
    expect(existsSync(join(folder, 'outside/out.onnx'))).toBe(false)
  })

  it('never: external data comes into the model', async () => {
    const model = place(externalModel(at('far.bin', ['offset', '4096'], ['length', '4096'])))
    const path = join(folder, 'outside/out.onnx')
    await saveModel(model, path, { externalData: 'never' })
    const { tensor } = await expectWorks(path)
    expect(tensor.externalData).toEqual([])
  })

  it('beside the model, external data stays where it is, byte for byte', async () => {
    const bytes = externalModel(at('w.bin', ['checksum', '00']))
    const path = join(folder, 'home/out.onnx')
    const files = await saveModel(place(bytes), path)
    expect(files).toHaveLength(1)
    expect(readFileSync(path).equals(bytes)).toBe(true)
    await expectWorks(path)
  })

  it('even when it is missing', async () => {
    const bytes = externalModel(at('missing.bin'))
    await saveModel(place(bytes), join(folder, 'home/out.onnx'))
    expect(readFileSync(join(folder, 'home/out.onnx')).equals(bytes)).toBe(true)
    expect(await codeOfSave(place(bytes), join(folder, 'outside/out.onnx'), {})).toBe('external-missing')
  })

  it('in another folder, external data is copied under a name of ours', async () => {
    const model = place(externalModel(at('far.bin', ['offset', '4096'], ['length', '4096'])))
    const path = join(folder, 'outside/out.onnx')
    const files = await saveModel(model, path)
    expect(readFileSync(files[1]?.path as string).equals(weights)).toBe(true)
    expect(basename(files[1]?.path as string)).toMatch(/^out\.onnx\.[0-9a-f]{8}\.data$/)
    rmSync(join(folder, 'home'), { recursive: true })
    await expectWorks(path)
  })

  it('of a Constant node too', async () => {
    const model = place(externalConstantModel(at('w.bin')))
    const path = join(folder, 'outside/out.onnx')
    await saveModel(model, path)
    rmSync(join(folder, 'home'), { recursive: true })
    if (ort) expect(await runFloats(ort, path, input, [elements])).toEqual(expected)
    const tensor = decodeAll(readFileSync(path)).graph.node[0].attribute[0].t
    expect(tensor.externalData.map(({ key }: { key: string }) => key)).toEqual(['location', 'offset', 'length'])
  })

  it('of a node that took it over from a Constant node', async () => {
    const model = place(externalConstantModel(at('w.bin')))
    const [constant] = model.graph.nodes()
    if (!constant) throw new Error('the model has no nodes')
    const [w, next] = [constant.output(0), constant.next]
    const attributes = constant.attributes
    model.graph.remove(constant)
    model.graph.insert({ opType: 'Constant', name: 'new', attributes }, [], [w], next)
    const path = join(folder, 'outside/out.onnx')
    await saveModel(model, path)
    rmSync(join(folder, 'home'), { recursive: true })
    if (ort) expect(await runFloats(ort, path, input, [elements])).toEqual(expected)
    expect(readdirSync(join(folder, 'outside')).sort()).toEqual(['out.onnx', expect.stringMatching(/\.data$/), 'w.bin'])
  })

  it('large tensors start at pages, what two tensors share is there once, shapes and small tensors stay', async () => {
    const source = join(folder, 'home/input.onnx')
    await writeSynthetic(source, { layers: 1, width: 512, heads: 4 })
    const model = open(source)
    const shared = model.graph.values.get('layer.0.q.weight')?.initializer as Tensor
    model.graph.addInitializer('alias', shared)
    // Sizes that are no multiple of anything push what comes behind them off the alignment.
    const filled = (size: number) => Tensor.of(dtypes.float, [size], new Float32Array(size).fill(size))
    for (const [name, size] of Object.entries({ odd: 301, small: 400, large: 1 << 18, tail: 257 })) {
      model.graph.addInitializer(name, filled(size))
    }
    model.graph.addInitializer('long shape', Tensor.int64(Array.from({ length: 200 }, (_, i) => i)))
    model.graph.addInitializer(
      'table',
      Tensor.int64(
        Array.from({ length: 200 }, (_, i) => i),
        [100, 2],
      ),
    )
    const path = join(folder, 'home/out.onnx')
    const [, data] = await saveModel(model, path, { externalData: 'always' })
    const tensors = decodeAll(readFileSync(path)).graph.initializer as {
      name: string
      dataLocation: number
      externalData: { key: string; value: string }[]
    }[]
    const placeOf = (name: string) => {
      const tensor = tensors.find((t) => t.name === name)
      return Object.fromEntries(tensor?.externalData.map(({ key, value }) => [key, value]) ?? [])
    }
    expect(Number(placeOf('layer.0.k.weight').offset) % 4096).toBe(0)
    expect(Number(placeOf('bias').offset) % 64).toBe(0)
    expect(placeOf('alias')).toEqual(placeOf('layer.0.q.weight'))
    expect(Number(placeOf('small').offset) % 64).toBe(0)
    expect(Number(placeOf('large').offset) % 4096).toBe(0)
    const inside = tensors.filter((t) => t.dataLocation !== 1).map((t) => t.name)
    expect(inside).toEqual(['split', 'merge', 'scale', 'long shape'])
    const again = open(path)
    for (const [name, size] of Object.entries({ odd: 301, small: 400, large: 1 << 18, tail: 257 })) {
      expect(
        again.graph.values
          .get(name)
          ?.initializer?.toNumbers()
          .every((x) => x === size),
      ).toBe(true)
    }
    expect(again.graph.values.get('table')?.initializer?.toBigInts()[199]).toBe(199n)
    expect(data?.bytes).toBe(statSync(data?.path as string).size)
    if (ort) {
      const x = Float32Array.from({ length: 3 * 512 }, (_, i) => Math.sin(i))
      expect(await runFloats(ort, path, x, [1, 3, 512])).toEqual(await runFloats(ort, source, x, [1, 3, 512]))
    }
  })

  it('derived weights are streamed into the file', async () => {
    const model = place(inlineModel())
    const value = model.graph.values.get('w')
    const payload = new DerivedPayload(weights.length, (offset, length) => weights.subarray(offset, offset + length))
    if (value) value.initializer = new Tensor({ dtype: dtypes.float, dims: [elements], name: 'w', payload })
    for (const externalData of ['always', 'never'] as const) {
      const path = join(folder, `home/${externalData}.onnx`)
      await saveModel(model, path, { externalData })
      await expectWorks(path)
    }
  })

  describe('of weights in Constant nodes', () => {
    const constant = (name: string) =>
      `${name} = Constant <value = float[1024] {${[...Array(1024).keys()].join(', ')}}> ()`
    const header = '<ir_version: 8, opset_import: ["" : 17, "local" : 1]>'
    const text = `${header} g (float[1024] x, bool c) => (float[1024] y) {
      ${constant('w')}
      s = Add (x, w)
      b = If (c) <then_branch = t () => (float[1024] u) { ${constant('u')} }, else_branch = e () => (float[1024] v) { v = Neg (x) }>
      f = local.Shift (s)
      y = Add (f, b)
    }
    <domain: "local", opset_import: ["" : 17]> Shift (a) => (r) { ${constant('k')} r = Add (a, k) }`

    it.each(['always', 'link'] as const)(
      '%s moves them, also in branches, but not those of functions',
      async (mode) => {
        const source = modelToBytes(parseModel(text))
        const path = join(folder, 'home/out.onnx')
        await saveModel(place(Buffer.from(source), 'input.onnx'), path, { externalData: mode })
        const { graph, functions } = decodeAll(readFileSync(path))
        const isExternal = (node: { attribute: { t: { dataLocation: number } }[] }) =>
          node.attribute[0]?.t.dataLocation === 1
        expect(isExternal(graph.node[0])).toBe(true)
        expect(isExternal(graph.node[2].attribute[0].g.node[0])).toBe(true)
        expect(isExternal(functions[0].node[0])).toBe(false)
        expect(statSync(path).size).toBeLessThan(6000)
        const session = await ort?.InferenceSession.create(path)
        const feeds = ort && { x: new ort.Tensor('float32', input, [1024]), c: new ort.Tensor('bool', [1], []) }
        const results = feeds && (await session?.run(feeds))
        if (results) expect(results.y?.data).toEqual(Float32Array.from(input, (x, i) => x + 3 * i))
        await session?.release()
        const [only, ...more] = await saveModel(open(path), join(folder, 'home/back.onnx'), { externalData: 'never' })
        expect(more).toEqual([])
        expect(only?.bytes).toBeGreaterThan(3 * 4096)
      },
    )
  })

  it.each(['always', 'link'] as const)(
    '%s: a model without a weight of 1 KiB stays one file, as it is',
    async (mode) => {
      const text = '<ir_version: 8, opset_import: ["" : 17]> g (float[255] x) => (float[255] y) { y = Add (x, w) }'
      const small = text.replace('{ y', `<float[255] w = {${Array(255).fill(0.5)}}> { y`)
      const source = Buffer.from(modelToBytes(parseModel(small)))
      const path = join(folder, 'home/out.onnx')
      expect(await saveModel(place(source, 'input.onnx'), path, { externalData: mode })).toHaveLength(1)
      expect(readFileSync(path).equals(source)).toBe(true)
    },
  )

  it('an output never takes the place of data the model refers to', async () => {
    const model = place(externalModel(at('w.bin')))
    expect(await codeOfSave(model, join(folder, 'home/w.bin'), { overwrite: true })).toBe('output-is-input')
    expect(readFileSync(join(folder, 'home/w.bin')).equals(weights)).toBe(true)
  })

  it('nor of data that only an attribute refers to', async () => {
    const model = place(externalConstantModel(at('w.bin')))
    expect(await codeOfSave(model, join(folder, 'home/w.bin'), { overwrite: true })).toBe('output-is-input')
  })

  describe('when a model is replaced', () => {
    const other = () => Buffer.from(weights.map((byte, i) => (i === 9 ? byte ^ 1 : byte)))
    const dataFiles = () => readdirSync(join(folder, 'home')).filter((name) => name.endsWith('.data'))
    const out = () => join(folder, 'home/out.onnx')
    const save = (bytes: Buffer) => saveModel(openModel(bytes), out(), { externalData: 'always', overwrite: true })

    it('its data file goes, once the new one is in place', async () => {
      const [, first] = await save(inlineModel())
      const [, second] = await save(inlineModel(other()))
      expect(second?.path).not.toBe(first?.path)
      expect(dataFiles()).toEqual([basename(second?.path as string)])
      await save(inlineModel(other()))
      expect(dataFiles()).toEqual([basename(second?.path as string)])
      await saveModel(openModel(inlineModel()), out(), { overwrite: true })
      expect(dataFiles()).toEqual([])
    })

    it('its data file stays while the new model refers to it', async () => {
      const [, data] = await save(inlineModel())
      const model = open(out())
      model.setMetadata('edited', 'yes')
      await saveModel(model, out(), { overwrite: true })
      expect(dataFiles()).toEqual([basename(data?.path as string)])
      expect(readWeight(open(out())).equals(weights)).toBe(true)
    })

    it.each(['home/linked.onnx', 'above.onnx'])('its data file stays while "%s" refers to it', async (name) => {
      const [, data] = await save(inlineModel())
      const location = basename(data?.path as string)
      const linked = join(folder, name)
      writeFileSync(linked, externalModel(at(name.startsWith('home') ? location : `home/${location}`)))
      await saveModel(openModel(inlineModel(other())), out(), { overwrite: true })
      expect(dataFiles()).toEqual([location])
      expect(readWeight(open(linked)).equals(weights)).toBe(true)
    })

    it('its data file stays while a model beside it cannot be read', async () => {
      const [, data] = await save(inlineModel())
      writeFileSync(join(folder, 'home/broken.onnx'), 'no model')
      await saveModel(openModel(inlineModel(other())), out(), { overwrite: true })
      expect(dataFiles()).toEqual([basename(data?.path as string)])
    })

    it('its data file stays while it is an input of the new one', async () => {
      const [, data] = await save(inlineModel())
      await saveModel(open(out()), out(), { externalData: 'never', overwrite: true })
      expect(dataFiles()).toEqual([basename(data?.path as string)])
    })

    it('files of other names, of other models, links and files it does not refer to stay', async () => {
      const names = ['w.bin', 'other.onnx.00000000.data', 'sub/out.onnx.00000000.data', 'out.onnx.00000001.data']
      for (const name of names) {
        writeFileSync(join(folder, 'home', name), weights)
        writeFileSync(out(), externalModel(at(name)))
        await saveModel(openModel(inlineModel()), out(), { overwrite: true })
        expect(existsSync(join(folder, 'home', name)), name).toBe(name !== 'out.onnx.00000001.data')
      }
      writeFileSync(join(folder, 'home/out.onnx.00000002.data'), weights)
      symlinkSync('w.bin', join(folder, 'home/out.onnx.00000003.data'))
      writeFileSync(out(), externalModel(at('out.onnx.00000003.data')))
      await saveModel(openModel(inlineModel()), out(), { overwrite: true })
      expect(dataFiles().sort()).toEqual([
        'other.onnx.00000000.data',
        'out.onnx.00000002.data',
        'out.onnx.00000003.data',
      ])
    })

    it('its data file stays when the new model is refused', async () => {
      const [, data] = await save(inlineModel())
      const accept = () => Promise.reject(new Error('refused'))
      const refused = saveModel(openModel(inlineModel(other())), out(), {
        externalData: 'always',
        overwrite: true,
        accept,
      })
      await expect(refused).rejects.toThrow('refused')
      expect(dataFiles()).toEqual([basename(data?.path as string)])
      expect(readWeight(open(out())).equals(weights)).toBe(true)
    })

    it('nothing is removed beside a file that is no model', async () => {
      writeFileSync(join(folder, 'home/out.onnx.00000004.data'), weights)
      writeFileSync(out(), 'out.onnx.00000004.data')
      await saveModel(openModel(inlineModel()), out(), { overwrite: true })
      expect(dataFiles()).toEqual(['out.onnx.00000004.data'])
    })
  })

  it('a data file that changed since it was read is refused', async () => {
    const model = place(externalModel(at('w.bin')))
    readWeight(model)
    writeFileSync(join(folder, 'home/w.bin'), Buffer.alloc(weights.length))
    const path = join(folder, 'outside/out.onnx')
    expect(await codeOfSave(model, path, {})).toBe('source-changed')
    expect(readdirSync(join(folder, 'outside'))).toEqual(['w.bin'])
  })
})
