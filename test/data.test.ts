import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openData } from '../src/data/index.ts'
import { select } from '../src/data/select.ts'
import { arraysModel, contentOf, dataFixtures, modelWith, samplesOf } from './support/data.ts'
import { pythonWith } from './support/python.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-data-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The samples that fixtures/data has in every format: ids count up, x is position / 4 - 1. */
const expected = [0, 1, 2].map((row) => ({
  ids: [[1, 4], [0, 1, 2, 3].map((i) => row * 4 + i)],
  x: [[1, 2], [0, 1].map((i) => (row * 2 + i) / 4 - 1)],
}))

function written(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, content)
  return path
}

/** Fixtures, and the same written anew where Python has the library. */
const generations = [
  { from: 'the committed files', at: (name: string) => join(dataFixtures, name) },
  ...['numpy', 'safetensors', 'pyarrow'].flatMap((part) => fresh(part)),
]

function fresh(part: string) {
  const python = pythonWith(part)
  if (python === undefined) return []
  const own = mkdtempSync(join(tmpdir(), 'outeffhop-fresh-'))
  const script = fileURLToPath(new URL('./support/write-data-fixtures.py', import.meta.url))
  const run = spawnSync(python, [script, own, part], { encoding: 'utf8' })
  if (run.status !== 0) throw new Error(run.stderr)
  return [{ from: `files just written by ${part}`, part, at: (name: string) => join(own, name) }]
}

const parts: Readonly<Record<string, readonly string[]>> = {
  numpy: ['arrays.npz', 'arrays-deflated.npz', 'orders.npz', 'npy'],
  safetensors: ['arrays.safetensors'],
  pyarrow: ['rows.parquet', 'rows-zstd.parquet'],
}

describe.each(generations)('$from', (generation) => {
  const names = 'part' in generation ? parts[generation.part] : Object.values(parts).flat()
  it.each(names ?? [])('%s gives a row of every array a sample', async (name) => {
    expect(await contentOf(generation.at(name), arraysModel())).toEqual(expected)
  })
})

describe('arrays', () => {
  it('a folder of .npz files is one source, and files may differ in length', async () => {
    for (const name of ['arrays.npz', 'arrays-deflated.npz'])
      copyFileSync(join(dataFixtures, name), written(`npz/${name}`, ''))
    expect(await contentOf(join(folder, 'npz'), arraysModel())).toEqual([...expected, ...expected])
  })

  it('an array with one axis more than its input has whole inputs as rows', async () => {
    const model = modelWith('int64[seq] ids, float[n] x')
    const rows = expected.map(({ ids, x }) => ({ ids: [[4], ids[1]], x: [[2], x[1]] }))
    expect(await contentOf(join(dataFixtures, 'arrays.npz'), model)).toEqual(rows)
  })

  it('a model that is fixed to a batch gets that many rows a sample, and what is left over is said', async () => {
    const source = await openData(join(dataFixtures, 'arrays.npz'), modelWith('int64[2, seq] ids, float[2, 2] x'))
    const [only, ...more] = await samplesOf(source)
    expect(only?.feeds.ids?.dims).toEqual([2, 4])
    expect(only?.feeds.ids?.toNumbers()).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    expect(more).toEqual([])
    expect(source.notes.join('\n')).toContain('1 rows at the end, fewer than a sample needs, are left out')
  })

  it('a single .npy is the one input of a model whatever its name', async () => {
    const path = join(dataFixtures, 'npy', 'ids.npy')
    expect(await contentOf(path, modelWith('int64[batch, seq] tokens'))).toEqual(
      expected.map(({ ids }) => ({ tokens: ids })),
    )
  })

  it('arrays that are no inputs are left out and named', async () => {
    const { notes } = await openData(join(dataFixtures, 'arrays.npz'), arraysModel())
    expect(notes).toEqual(['not inputs of the model, left out: "labels"'])
  })

  it('is read the same way again', async () => {
    const source = await openData(join(dataFixtures, 'arrays-deflated.npz'), arraysModel())
    expect(await samplesOf(source)).toEqual(await samplesOf(source))
  })
})

describe('test_data_set folders', () => {
  it('take tensors by name, and without one by number, and are one sample each', async () => {
    const [first, second] = await contentOf(join(dataFixtures, 'sets'), arraysModel())
    expect(first).toEqual(expected[0])
    expect(second).toEqual({
      ids: [
        [1, 6],
        [0, 1, 2, 3, 4, 5],
      ],
      x: expected[1]?.x,
    })
  })

  it('one of them is a source of one sample', async () => {
    expect(await contentOf(join(dataFixtures, 'sets', 'test_data_set_0'), arraysModel())).toEqual([expected[0]])
  })
})

describe('JSONL of tensors', () => {
  it('takes nested lists with and without the leading axis, flat data with dims, and blank lines', async () => {
    const lines = [
      '{"ids": [0, 1, 2, 3], "x": [-1, -0.75]}',
      '',
      '{"ids": [[4, 5, 6, 7]], "x": {"dims": [1, 2], "data": [-0.5, -0.25]}}',
      '{"ids": {"dtype": "int64", "shape": [1, 4], "data": [8, 9, 10, 11]}, "x": [[0, 0.25]], "note": "left out"}',
    ]
    const path = written('tensors.jsonl', `\uFEFF${lines.join('\r\n')}`)
    expect(await contentOf(path, arraysModel())).toEqual(expected)
  })

  it('lines may have different lengths', async () => {
    const path = written('lengths.jsonl', '{"ids": [1], "x": [0, 0]}\n{"ids": [1, 2, 3], "x": [0, 0]}\n')
    expect((await contentOf(path, arraysModel())).map(({ ids }) => ids?.[0])).toEqual([
      [1, 1],
      [1, 3],
    ])
  })

  it('a flat list takes the shape of an input that is fixed', async () => {
    const path = written('flat.jsonl', '{"x": [1, 2, 3, 4, 5, 6]}')
    expect(await contentOf(path, modelWith('float[1, 2, 3] x'))).toEqual([
      {
        x: [
          [1, 2, 3],
          [1, 2, 3, 4, 5, 6],
        ],
      },
    ])
  })

  it('gives booleans and texts to inputs of those types', async () => {
    const path = written('types.jsonl', '{"b": [true, false], "s": ["é", ""]}')
    const [sample] = await samplesOf(await openData(path, modelWith('bool[batch, 2] b, string[batch, n] s')))
    expect(sample?.feeds.b?.toNumbers()).toEqual([1, 0])
    expect(sample?.feeds.s?.strings?.().map(String)).toEqual(['é', ''])
  })
})

describe('modules', () => {
  it('an async generator function may give typed arrays, lists and tensors of other libraries', async () => {
    const code = `export default async function* () {
      yield { ids: [0, 1, 2, 3], x: Float32Array.of(-1, -0.75) }
      yield { ids: { type: 'int64', dims: [1, 4], data: BigInt64Array.of(4n, 5n, 6n, 7n) }, x: [[-0.5, -0.25]] }
      yield { ids: { dims: [1, 4], data: [8n, 9n, 10n, 11n] }, x: { shape: [1, 2], data: [0, 0.25] } }
    }`
    expect(await contentOf(written('generator.mjs', code), arraysModel())).toEqual(expected)
  })

  it('numbers in lists take the type of the input when they are values of it', async () => {
    const path = written('lists.mjs', 'export default [{ n: [1n, -2n], f: [3n, 0.5] }]')
    const model = modelWith('int32[batch, 2] n, float[batch, 2] f')
    expect(await contentOf(path, model)).toEqual([
      {
        n: [
          [1, 2],
          [1, -2],
        ],
        f: [
          [1, 2],
          [3, 0.5],
        ],
      },
    ])
  })

  it('an array is an iterable too, and half precision goes by its bits', async () => {
    const code = `export const samples = [{ x: { type: 'float16', dims: [1, 2], data: Uint16Array.of(0x3c00, 0xc000) } }]`
    const path = written('array.mjs', code)
    expect(await contentOf(path, modelWith('float16[batch, 2] x'))).toEqual([
      {
        x: [
          [1, 2],
          [1, -2],
        ],
      },
    ])
  })
})

describe('synthetic data', () => {
  it('is given only when asked for, is the same for the same seed, and is stamped', async () => {
    const model = arraysModel()
    const source = await openData(undefined, model, { synthetic: true, samples: 3, seed: 7 })
    expect(source.manifest).toMatchObject({ kind: 'synthetic', synthetic: true, count: 3, files: [] })
    expect(source.notes[0]).toContain('synthetic')
    const content = await contentOf(undefined, model, { synthetic: true, samples: 3, seed: 7 })
    expect(new Set(content.map((sample) => JSON.stringify(sample))).size).toBe(3)
    expect(await contentOf(undefined, model, { synthetic: true, samples: 3, seed: 7 })).toEqual(content)
    expect(await contentOf(undefined, model, { synthetic: true, samples: 3, seed: 8 })).not.toEqual(content)
  })
})

describe('a subset', () => {
  const numbers = {
    samples: fc.integer({ min: 1, max: 300 }),
    seed: fc.integer(),
    count: fc.integer({ min: 1, max: 200 }),
  }

  it('has distinct ascending positions, and its shards are its parts whatever their number', () => {
    fc.assert(
      fc.property(fc.record(numbers), fc.integer({ min: 1, max: 9 }), ({ samples, seed, count }, shards) => {
        const { all } = select(count, samples, seed)
        expect(all.length).toBe(Math.min(count, samples))
        expect([...all]).toEqual([...new Set(all)].sort((a, b) => a - b))
        expect(all.every((position) => position < count)).toBe(true)
        const pieces = Array.from({ length: shards }, (_, i) =>
          select(count, samples, seed, { index: i + 1, count: shards }),
        )
        expect(pieces.flatMap((piece) => [...piece.all.subarray(piece.start, piece.end)])).toEqual([...all])
      }),
    )
  })

  it('is drawn evenly', () => {
    const hits = new Uint32Array(20)
    for (let seed = 0; seed < 2000; seed++)
      for (const position of select(20, 5, seed).all) hits[position] = (hits[position] ?? 0) + 1
    // 2000 draws of 5 out of 20: 500 expected, standard deviation 19; five of them is one miss in a million.
    for (const count of hits) expect(Math.abs(count - 500)).toBeLessThan(100)
  })

  it('gives samples their place in it, and one hash to all of its shards', async () => {
    const path = written('many.jsonl', Array.from({ length: 50 }, (_, i) => `{"x": [${i}, 0]}`).join('\n'))
    const model = modelWith('float[batch, 2] x')
    const open = (index?: number) =>
      openData(path, model, { samples: 10, seed: 3, shard: index === undefined ? undefined : { index, count: 3 } })
    const whole = await open()
    const shards = [await open(1), await open(2), await open(3)]
    const all = await samplesOf(whole)
    expect(all.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect((await Promise.all(shards.map(samplesOf))).flat()).toEqual(all)
    expect(shards.map(({ size }) => size)).toEqual([3, 3, 4])
    expect(new Set([whole, ...shards].map(({ manifest }) => manifest.hash)).size).toBe(1)
    expect((await openData(path, model, { samples: 10, seed: 4 })).manifest.hash).not.toBe(whole.manifest.hash)
  })

  it('larger than its source is all of it, and that is said', async () => {
    const source = await openData(join(dataFixtures, 'arrays.npz'), arraysModel(), { samples: 5 })
    expect(source.size).toBe(3)
    expect(source.notes.join()).toContain('has 3 samples, fewer than the 5 asked for')
  })
})

describe('the manifest', () => {
  it('names the files the selection reads, with size and sha256', async () => {
    const { manifest } = await openData(join(dataFixtures, 'sets'), arraysModel(), { samples: 1, seed: 1 })
    expect(manifest.files.map(({ name }) => name)).toHaveLength(2)
    const { manifest: all } = await openData(join(dataFixtures, 'arrays.npz'), arraysModel())
    expect(all).toMatchObject({
      kind: 'npz',
      files: [{ name: 'arrays.npz', bytes: 882, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }],
      count: 3,
      selection: { samples: 3, seed: null, shard: null },
      synthetic: false,
    })
  })

  it('has another hash when a byte of the data changes, and the same in another folder', async () => {
    const a = written('a/same.jsonl', '{"x": [1, 2]}')
    const b = written('b/same.jsonl', '{"x": [1, 2]}')
    const c = written('c/same.jsonl', '{"x": [1, 3]}')
    const hashes = await Promise.all(
      [a, b, c].map(async (path) => (await openData(path, modelWith('float[batch, 2] x'))).manifest.hash),
    )
    expect(hashes[0]).toBe(hashes[1])
    expect(hashes[0]).not.toBe(hashes[2])
  })
})
