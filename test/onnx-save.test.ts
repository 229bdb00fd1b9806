import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ConvertError } from '../src/errors.ts'
import type { Model } from '../src/ir/index.ts'
import { DerivedPayload, dtypes, Tensor } from '../src/ir/index.ts'
import type { SaveOptions } from '../src/onnx/index.ts'
import { closeModel, modelToBytes, openModel, saveModel } from '../src/onnx/index.ts'
import { TemporaryFile } from '../src/onnx/write/temporary.ts'
import { inlineModel } from './support/external-model.ts'
import { writeSynthetic } from './support/synthetic.ts'

let folder: string
let source: string
let model: Model

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-'))
  source = join(folder, 'source.onnx')
  writeFileSync(source, inlineModel())
  model = openModel(source)
})

afterEach(() => {
  closeModel(model)
  rmSync(folder, { recursive: true, force: true })
})

async function failure(path: string, options: SaveOptions = {}, from = model): Promise<ConvertError> {
  const error = await saveModel(from, path, options).catch((thrown: unknown) => thrown)
  if (error instanceof ConvertError) return error
  throw new Error(`no typed error: ${error}`)
}

/** Makes the model one that is written anew. */
function edit(target = model): void {
  target.setMetadata('edited', 'yes')
}

describe('saving', () => {
  it('onto the source works, and what was read before can still be written', async () => {
    edit()
    const bytes = modelToBytes(model)
    await saveModel(model, source, { overwrite: true })
    expect(readFileSync(source).equals(bytes)).toBe(true)
    const again = openModel(source)
    expect(again.metadata.get('edited')).toBe('yes')
    closeModel(again)
    expect(readdirSync(folder)).toEqual(['source.onnx'])
  })

  it('over a link replaces the link, not what it points to', async () => {
    const link = join(folder, 'link.onnx')
    symlinkSync('source.onnx', link)
    const before = readFileSync(source)
    edit()
    await saveModel(model, link, { overwrite: true })
    expect(readFileSync(source).equals(before)).toBe(true)
    expect(readFileSync(link).equals(before)).toBe(false)
  })

  it('gives the same bytes every time', async () => {
    edit()
    const outputs = ['a.onnx', 'b.onnx'].map((name) => join(folder, name))
    for (const path of outputs) await saveModel(model, path)
    const [a, b] = outputs.map((path) => readFileSync(path))
    expect(a?.equals(b as Buffer)).toBe(true)
    expect(a?.equals(Buffer.from(modelToBytes(model)))).toBe(true)
  })

  it('tells how far it is', async () => {
    const large = join(folder, 'large.onnx')
    const bytes = await writeSynthetic(large, { layers: 1, width: 64, heads: 4, extra: { count: 20, bytes: 4 << 20 } })
    const opened = openModel(large)
    const seen: number[] = []
    await saveModel(opened, join(folder, 'out.onnx'), {
      onProgress: (done, total) => {
        expect(total).toBe(bytes)
        seen.push(done)
      },
    })
    closeModel(opened)
    expect(seen.length).toBeGreaterThan(2)
    expect(seen).toEqual([...seen].sort((a, b) => a - b))
    expect(seen.at(-1)).toBe(bytes)
  })
})

describe('what cannot be saved leaves nothing behind', () => {
  it('an existing file without overwrite', async () => {
    writeFileSync(join(folder, 'out.onnx'), 'precious')
    expect(await failure(join(folder, 'out.onnx'))).toMatchObject({ code: 'output-exists', kind: 'output' })
    expect(readFileSync(join(folder, 'out.onnx'), 'utf8')).toBe('precious')
  })

  it('a folder, a folder that is missing, a place nobody may write to', async () => {
    expect(await failure(folder, { overwrite: true })).toMatchObject({ code: 'output-is-folder' })
    expect(await failure(join(folder, 'missing/out.onnx'))).toMatchObject({ code: 'output-folder' })
    if (process.platform === 'linux') {
      expect(await failure('/sys/out.onnx')).toMatchObject({ code: 'output-refused', kind: 'output' })
    }
  })

  it('a save that is stopped', async () => {
    const large = join(folder, 'large.onnx')
    await writeSynthetic(large, { layers: 1, width: 64, heads: 4, extra: { count: 40, bytes: 4 << 20 } })
    const opened = openModel(large)
    const controller = new AbortController()
    // The signal comes while the save waits for other work, as a signal of the system does.
    setImmediate(() => setImmediate(() => controller.abort()))
    const error = await failure(join(folder, 'out.onnx'), { signal: controller.signal }, opened)
    expect(error).toMatchObject({ code: 'interrupted', kind: 'interrupted' })
    closeModel(opened)
    expect(readdirSync(folder).sort()).toEqual(['large.onnx', 'source.onnx'])
  })

  it('a source that changed since it was opened', async () => {
    writeFileSync(source, Buffer.concat([inlineModel(), Buffer.from([0x10])]))
    expect(await failure(join(folder, 'out.onnx'))).toMatchObject({ code: 'source-changed', kind: 'model' })
    expect(readdirSync(folder)).toEqual(['source.onnx'])
  })

  it('a source that changes while it is copied', async () => {
    const payload = new DerivedPayload(4096, () => {
      writeFileSync(source, 'something else')
      return new Uint8Array(4096)
    })
    model.graph.addInitializer('derived', new Tensor({ dtype: dtypes.float, dims: [1024], payload }))
    expect((await failure(join(folder, 'out.onnx'))).code).toBe('source-changed')
    expect(readdirSync(folder)).toEqual(['source.onnx'])
  })

  it('weights that cannot be computed', async () => {
    const payload = new DerivedPayload(4096, () => {
      throw new ConvertError('test', 'model', 'no data')
    })
    model.graph.addInitializer('derived', new Tensor({ dtype: dtypes.float, dims: [1024], payload }))
    for (const externalData of ['never', 'always'] as const) {
      expect((await failure(join(folder, 'out.onnx'), { externalData })).code).toBe('test')
    }
    expect(readdirSync(folder)).toEqual(['source.onnx'])
  })

  it('a full device', async () => {
    const path = join(folder, 'out.onnx')
    const file = new TemporaryFile(path, 5e6)
    const full = Promise.reject(Object.assign(new Error('write failed'), { code: 'ENOSPC' }))
    await expect(file.written(full)).rejects.toMatchObject({ code: 'output-full', kind: 'output' })
    expect(readdirSync(folder)).toHaveLength(2)
    file.discard()
    expect(readdirSync(folder)).toEqual(['source.onnx'])
  })

  it('a model whose place is taken while its data is put in place', async () => {
    const path = join(folder, 'out.onnx')
    const payload = new DerivedPayload(4096, () => new Uint8Array(4096))
    model.graph.addInitializer('derived', new Tensor({ dtype: dtypes.float, dims: [1024], payload }))
    const place = vi.spyOn(TemporaryFile.prototype, 'place').mockImplementationOnce(function (this: TemporaryFile) {
      place.mockRestore()
      this.place()
      // A folder appears where the model is to go, after all checks.
      mkdirSync(path)
    })
    expect(await failure(path, { externalData: 'always' })).toMatchObject({ code: 'output-refused', kind: 'output' })
    expect(readdirSync(folder).sort()).toEqual(['out.onnx', 'source.onnx'])
    expect(readdirSync(path)).toEqual([])
  })

  it('one file beyond what runtimes read', async () => {
    const payload = new DerivedPayload(3e9, (_, length) => new Uint8Array(length))
    model.graph.addInitializer('derived', new Tensor({ dtype: dtypes.float, dims: [750e6], payload }))
    expect(await failure(join(folder, 'out.onnx'), { externalData: 'never' })).toMatchObject({
      code: 'output-too-large',
      kind: 'output',
    })
    expect(() => modelToBytes(model)).toThrow(expect.objectContaining({ code: 'output-too-large' }))
    expect(readdirSync(folder)).toEqual(['source.onnx'])
  })
})

describe('a closed model', () => {
  it('says so when something is read', async () => {
    const other = openModel(source)
    const tensor = other.graph.values.get('w')?.initializer
    closeModel(other)
    expect(() => tensor?.payload?.read(0, 4096)).toThrow(expect.objectContaining({ code: 'model-closed' }))
    expect((await failure(join(folder, 'out.onnx'), {}, other)).code).toBe('model-closed')
    expect(existsSync(join(folder, 'out.onnx'))).toBe(false)
  })
})
