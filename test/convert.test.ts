import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ConvertOptions, Model } from '../src/index.ts'
import {
  ConversionRefused,
  ConvertError,
  closeModel,
  convert,
  dtypes,
  explain,
  findSites,
  inspect,
  modelToBytes,
  openModel,
  parseModel,
  printModel,
  saveModel,
  Tensor,
} from '../src/index.ts'
import { DerivedPayload } from '../src/ir/index.ts'
import { closest, matcher } from '../src/names.ts'
import { TemporaryFile } from '../src/onnx/write/temporary.ts'
import { targetOf } from '../src/options.ts'
import { definePass, equivalent, runPipeline } from '../src/rewrite/index.ts'
import { installedRuntime } from '../src/runtime/index.ts'

const text = `<ir_version: 8, opset_import: ["" : 17]>
g (float[B,2,S,4] q, float[B,2,4,T] k, float[B,2,T,4] v) => (float[B,2,S,4] y, float[B,2,S,4] z) {
   s0 = MatMul (q, k)
   ["/layer.0/Softmax"] p0 = Softmax <axis = -1> (s0)
   y = MatMul (p0, v)
   s1 = MatMul (q, k)
   ["/layer.1/Softmax"] p1 = Softmax <axis = -1> (s1)
   z = MatMul (p1, v)
}`
const relu = '<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Relu (x) }'
const bytes = () => modelToBytes(parseModel(text))
const writeModel = (name: string, source: string): string => {
  writeFileSync(join(folder, name), modelToBytes(parseModel(source)))
  return join(folder, name)
}

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-convert-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('convert', () => {
  it.each([
    ['a domain that is not imported', 'n = acme.Op (p0)', '" is of domain "acme", which is not imported'],
    ['a value that nothing produces', 'n = Relu (nothing)', 'reads "nothing" before it is produced'],
  ])('says that the model is not valid for %s', async (_, line, words) => {
    const broken = modelToBytes(parseModel(text.replace('y = MatMul', `${line}\n   y = MatMul`)))
    const error = await convert(broken).catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'broken-graph', exitCode: 3, message: expect.stringContaining(words) })
    expect(error.message).toContain('the model is not valid: ')
    expect((await explain(broken)).counts.sites).toBe(2)
  })

  it('turns bytes into bytes', async () => {
    const { document, bytes: converted } = await convert(bytes())
    expect(document.counts).toMatchObject({ sites: 2, converted: 2 })
    expect(document.model.path).toBeNull()
    const sites = findSites(openModel(converted ?? expect.fail('no bytes')))
    expect(sites.map((site) => site.verdict.kind)).toEqual(['already-softmax1', 'already-softmax1'])
  })

  it('converts an opened model in place', async () => {
    const model = parseModel(text)
    const { bytes: none } = await convert(model)
    expect(none).toBeUndefined()
    expect(findSites(model).every((site) => site.verdict.kind === 'already-softmax1')).toBe(true)
  })

  it('writes a file for bytes when one is named', async () => {
    const output = join(folder, 'named.onnx')
    const { document, bytes: none } = await convert(bytes(), { output })
    expect(none).toBeUndefined()
    expect(document.files).toEqual([{ path: output, bytes: readFileSync(output).length, sha256: null }])
  })

  describe.skipIf(installedRuntime() === undefined)('tries a file before it takes its place', () => {
    const unknown = text
      .replace('17]', '17, "acme" : 1]')
      .replace('y = MatMul (p0, v)', 'n = acme.NoSuchOp (p0)\n   y = MatMul (p0, v)')
    const inputs: [string, (source: string) => string | Uint8Array | Model, string][] = [
      ['a path', (source) => writeModel('tried.onnx', source), 'runtime-neither'],
      ['bytes', (source) => modelToBytes(parseModel(source)), 'runtime-neither'],
      ['an opened model', (source) => openModel(modelToBytes(parseModel(source))), 'runtime-neither'],
      ['an edited model', (source) => parseModel(source), 'runtime-model'],
    ]

    it.each(inputs)('also when it was given as %s', async (name, make, code) => {
      const output = join(folder, `tried ${name}.onnx`)
      await expect(convert(make(unknown), { output })).rejects.toMatchObject({ code, exitCode: 5 })
      expect(readdirSync(folder).filter((file) => file.includes(`tried ${name}`))).toEqual([])
      expect((await convert(make(text), { output })).document.verification).toEqual({
        loaded: true,
        ran: true,
        reason: null,
      })
      expect(
        (await convert(make(unknown), { output, overwrite: true, verify: false })).document.verification,
      ).toBeNull()
    })
  })

  it('gives the same bytes whether from a path, from bytes or from an opened model', async () => {
    const path = join(folder, 'model.onnx')
    writeFileSync(path, bytes())
    await convert(path, { verify: false })
    const written = readFileSync(join(folder, 'model.outeffhop.onnx'))
    expect(Buffer.from((await convert(bytes())).bytes ?? [])).toEqual(written)
    const model = openModel(bytes())
    await convert(model)
    expect(Buffer.from(modelToBytes(model))).toEqual(written)
  })

  it('takes a sink by site and head', async () => {
    const { document } = await convert(bytes(), {
      sink: (site) => (site.node.name.includes('layer.0') ? [-1, -2] : 0),
      form: 'primitives',
    })
    expect(document.sink).toBe('by site')
    expect(document.sites.map((site) => site.sink)).toEqual([[-1, -2], 0])
  })

  it('refuses a sink for more heads than there are', async () => {
    await expect(convert(bytes(), { sink: () => [0, -1, -2] })).rejects.toMatchObject({ code: 'sink-heads' })
  })

  it('throws with the report when nothing can be converted, unless that is allowed', async () => {
    const nothing = modelToBytes(parseModel(relu))
    const error = await convert(nothing).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(ConversionRefused)
    expect(error).toBeInstanceOf(ConvertError)
    expect(error).toMatchObject({ code: 'nothing-to-convert', exitCode: 1, document: { counts: { sites: 0 } } })
    expect((await convert(nothing, { allowNone: true })).bytes).toEqual(Buffer.from(nothing))
  })

  it('leaves no file behind when a check refuses the result', async () => {
    const path = join(folder, 'refused.onnx')
    writeFileSync(path, modelToBytes(parseModel(relu)))
    await expect(convert(path)).rejects.toThrow(ConversionRefused)
    expect(readdirSync(folder).filter((name) => name.includes('refused'))).toEqual(['refused.onnx'])
  })

  it('says what is missing when the disk is full, and leaves nothing behind', async () => {
    const file = new TemporaryFile(join(folder, 'full.onnx'), 1000)
    const full = Promise.reject(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }))
    await expect(file.written(full)).rejects.toMatchObject({ code: 'output-full', exitCode: 6 })
    file.discard()
    expect(readdirSync(folder).filter((name) => name.includes('full'))).toEqual([])
  })

  it('stops when it is aborted, before anything is written', async () => {
    const path = join(folder, 'aborted.onnx')
    writeFileSync(path, bytes())
    await expect(convert(path, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'interrupted' })
    expect(existsSync(join(folder, 'aborted.outeffhop.onnx'))).toBe(false)
  })

  it('tells how far it is', async () => {
    const path = join(folder, 'progress.onnx')
    writeFileSync(path, bytes())
    const phases: string[] = []
    await convert(path, { onProgress: (phase) => phases.push(phase) })
    expect([...new Set(phases)]).toEqual(['convert', 'write', 'verify'])
  })

  it.each<[string, ConvertOptions, string]>([
    ['target', { target: 'ortt' as never }, 'There are: ort, tensorrt, onnx.'],
    ['provider', { provider: 'gpu' as 'cuda' }, 'There are: any, cpu, cuda, webgpu.'],
    [
      'form',
      { form: 'zerokey' as 'zero-key' },
      'There are: gqa, attention-zero-key, mha-zero-key, zero-key, plugin, function, primitives.',
    ],
    ['policy', { include: ['poolin' as 'pooling'] }, 'There are: pooling, channel, static-memories.'],
  ])('lists what there is for a wrong %s', async (_, options, hint) => {
    await expect(convert(bytes(), options)).rejects.toMatchObject({ code: 'usage', exitCode: 2, hint })
  })

  describe('tells which option is wrong, before anything is done', () => {
    const list = [1]
    it.each<[object | string, string]>([
      [{ output: 5 }, 'the option "output" is a text, not 5'],
      [{ only: 7 }, 'the option "only" is a text or a list of texts, not 7'],
      [{ except: list }, 'the option "except" is a text or a list of texts, not a list'],
      [{ include: 'pooling' }, 'the option "include" is a list of texts, not "pooling"'],
      [{ sink: '-4' }, 'the option "sink" is "calibrated", "zero", a number or a function of the site, not "-4"'],
      [{ sink: null }, 'the option "sink" is "calibrated", "zero", a number or a function of the site, not null'],
      [{ sink: () => undefined }, 'the function "sink" gives a number, or a list with one for each head'],
      [{ target: 3 }, 'the option "target" is a text, not 3'],
      [{ targetVersion: 1.2 }, 'the option "targetVersion" is a text, not 1.2'],
      [{ provider: ['cpu'] }, 'the option "provider" is a text, not a list'],
      [{ form: Symbol.iterator }, 'the option "form" is a text, not Symbol(Symbol.iterator)'],
      [{ externalData: 'sometimes' }, '"auto", "always", "never" or "link", not "sometimes"'],
      [{ stopAfter: 'lowering' }, 'the option "stopAfter" is "recognize", "hopfield"'],
      [{ overwrite: 'yes' }, 'the option "overwrite" is true or false, not "yes"'],
      [{ dump: true }, 'the option "dump" is a text, not true'],
      [{ signal: new Date(0) }, 'the option "signal" is an AbortSignal, not an object of class Date'],
      [{ onProgress: {} }, 'the option "onProgress" is a function, not an object'],
      [{ dryrun: true }, 'there is no option "dryrun"'],
      [{ 'target-version': '1.20' }, 'there is no option "target-version"'],
      ['out.onnx', 'options are an object, not "out.onnx"'],
    ])('convert with %o', async (options, message) => {
      const path = writeModel('options.onnx', text)
      const error = await convert(path, options as ConvertOptions).catch((thrown) => thrown)
      expect(error).toBeInstanceOf(ConvertError)
      expect(error).toMatchObject({ code: 'usage', exitCode: 2, message: expect.stringContaining(message) })
      expect(existsSync(join(folder, 'options.outeffhop.onnx'))).toBe(false)
    })

    it.each<[string, () => unknown, string]>([
      ['convert', () => convert(5 as never), 'or an opened Model, not 5'],
      ['convert', () => convert(new URL('file:///model.onnx') as never), 'not an object of class URL'],
      ['explain', () => explain(bytes(), { sink: 0 } as never), 'there is no option "sink"'],
      ['inspect', () => inspect(bytes(), { hash: 1 } as never), 'the option "hash" is true or false, not 1'],
      ['openModel', () => openModel(bytes().buffer as never), 'not an object of class ArrayBuffer'],
      ['openModel', () => openModel(bytes(), { budget: '8' } as never), 'the option "budget" is a number above 0'],
      [
        'saveModel',
        () => saveModel(parseModel(text), undefined as never),
        'the path of a model is a text, not undefined',
      ],
      ['saveModel', () => saveModel('model.onnx' as never, 'a.onnx'), 'a Model is needed, not "model.onnx"'],
      ['saveModel', () => saveModel(parseModel(text), 'a.onnx', { mode: 'auto' } as never), 'no option "mode"'],
      ['modelToBytes', () => modelToBytes(bytes() as never), 'a Model is needed, not an object of class'],
      ['parseModel', () => parseModel(bytes() as never), 'what is parsed is a text, not an object of class'],
      ['printModel', () => printModel(parseModel(text), { limit: true } as never), 'the option "limit" is a number'],
    ])('%s, case %#', async (_, call, message) => {
      const error = await new Promise((resolve) => resolve(call())).catch((thrown) => thrown)
      expect(error).toMatchObject({ code: 'usage', exitCode: 2, message: expect.stringContaining(message) })
    })
  })

  it('blames the pass that fails', () => {
    const failing = definePass({
      name: 'failing',
      stage: 'adapt',
      summary: 'Fails.',
      effect: equivalent,
      run() {
        throw new TypeError('of no use')
      },
    })
    const target = targetOf({})
    expect(() => runPipeline(parseModel(text), [failing], { target })).toThrow(
      expect.objectContaining({ code: 'bug', exitCode: 70, message: 'while running failing: of no use' }),
    )
  })

  it('refuses versions no conversion was measured on', async () => {
    await expect(convert(bytes(), { targetVersion: '1.2' })).rejects.toMatchObject({ code: 'usage' })
  })
})

describe('explain and inspect', () => {
  it('leave an opened model as it is', async () => {
    const model = openModel(bytes())
    const document = await explain(model)
    expect(document.sites.map(({ verdict, converted }) => [verdict, converted])).toEqual([
      ['attention', false],
      ['attention', false],
    ])
    expect((await inspect(model)).operators).toEqual({ MatMul: 4, Softmax: 2 })
    expect(model.edited).toBe(false)
    expect(Buffer.from(modelToBytes(model))).toEqual(Buffer.from(bytes()))
  })

  it('count a site that a name decides', async () => {
    const forced = await explain(modelToBytes(parseModel(text.replace('y = MatMul (p0, v)', 'y = Mul (q, q)'))), {
      force: '/layer.0/Softmax',
      except: '/layer.1/*',
    })
    expect(forced.sites.map((site) => site.verdict)).toEqual(['attention', 'rejected'])
  })
})

describe('names', () => {
  it.each([
    ['/a/Softmax', '/a/Softmax', true],
    ['/a/*', '/a/b/Softmax', true],
    ['*Softmax', '/a/b/Softmax', true],
    ['/layer.?/x', '/layer.3/x', true],
    ['/layer.?/x', '/layerA3/x', false],
    ['/layer.{0,11}/x', '/layer.11/x', true],
    ['/layer.{0,11}/x', '/layer.1/x', false],
    ['a[0]{b}', 'a[0]{b}', true],
    ['a+b', 'aab', false],
    ['*', 'two\nlines', true],
  ])('%j against %j is %j', (pattern, name, matches) => {
    expect(matcher(pattern)(name)).toBe(matches)
  })

  it('finds the known word a misspelling is like, and none for a stranger', () => {
    const known = ['explain', 'inspect', 'passes']
    expect(closest('explian', known)).toBe('explain')
    expect(closest('inspct', known)).toBe('inspect')
    expect(closest('Passes', known)).toBe('passes')
    expect(closest('quantize', known)).toBeUndefined()
  })
})

describe('a model that was printed and parsed', () => {
  const weight = `<float[40] w = {${Array(40).fill(0.5)}}>`
  const printed = () =>
    printModel(parseModel(relu.replace('{ y = Relu (x)', `${weight} { z = Relu (x) y = Add (z, w)`)))

  it('has lost its large weights, and says which one and what to do when it is made into bytes or saved', async () => {
    const model = parseModel(printed())
    const lost = { code: 'elided', message: expect.stringContaining('"w"'), hint: expect.stringContaining('`fill`') }
    expect(() => modelToBytes(model)).toThrow(expect.objectContaining(lost))
    await expect(saveModel(model, join(folder, 'elided.onnx'))).rejects.toMatchObject(lost)
    expect(existsSync(join(folder, 'elided.onnx'))).toBe(false)
    const fill = () => Tensor.of(dtypes.float, [40], new Float32Array(40).fill(0.5))
    expect(modelToBytes(parseModel(printed(), { fill })).length).toBeGreaterThan(160)
  })
})

describe('an opened model', () => {
  it('cannot be read any more after it was closed', () => {
    const weights = relu.replace('(float[2] y)', '(float[2] y) <float[2] w = {1, 2}>')
    writeFileSync(join(folder, 'closed.onnx'), modelToBytes(parseModel(weights)))
    const model = openModel(join(folder, 'closed.onnx'))
    closeModel(model)
    expect(() => model.graph.resolve('w')?.initializer?.toNumbers()).toThrow(
      expect.objectContaining({ code: 'model-closed' }),
    )
  })

  it('has to stay below 2 GiB as bytes; the weights are not made to find out', () => {
    const model = parseModel(relu)
    const refuse = () => expect.fail('the weights were read')
    const payload = new DerivedPayload(2 ** 31, refuse)
    model.graph.addInitializer('w', new Tensor({ dtype: dtypes.float, dims: [2 ** 29], payload }))
    expect(() => modelToBytes(model)).toThrow(expect.objectContaining({ code: 'output-too-large', exitCode: 6 }))
  })
})
