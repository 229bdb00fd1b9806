import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { bytesCursor, streamCursor } from '../src/data/cursor.ts'
import { openData } from '../src/data/index.ts'
import { openNpy } from '../src/data/npy.ts'
import { arraysModel, contentOf, dataFixtures, modelWith, refusal, samplesOf } from './support/data.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-bad-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function written(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, content)
  return path
}

const fixture = (name: string) => join(dataFixtures, name)

/** A numpy file of version 1.0, by its published layout. */
function npy(descr: string, shape: string, data: Uint8Array): Buffer {
  const header = `{'descr': ${descr}, 'fortran_order': False, 'shape': ${shape}, }\n`
  const length = Buffer.alloc(2)
  length.writeUInt16LE(header.length)
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\x00', 'latin1'), length, Buffer.from(header), data])
}

const float32 = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer)

describe('data that does not fit is refused before the first run, in one table', () => {
  it('a wrong type', async () => {
    const error = await refusal(fixture('arrays.npz'), modelWith('int32[batch, seq] ids, float16[batch, 2] x'))
    expect(error).toMatchObject({ code: 'data-dtype', kind: 'data', exitCode: 4 })
    expect(error.message.split('\n').slice(1)).toEqual([
      '  input  the model wants     the data has',
      '  ids    int32 [batch, seq]  int64 [1, 4]  write it as int32',
      '  x      float16 [batch, 2]  float [1, 2]  write it as float16',
    ])
    expect(error.hint).toContain('never converted silently')
  })

  it('a wrong shape, rank or number of rows', async () => {
    const error = await refusal(fixture('arrays.npz'), modelWith('int64[batch, 5] ids, float[batch, a, b, 2] x'))
    expect(error).toMatchObject({ code: 'data-shape', exitCode: 4, hint: expect.stringContaining('leading axis') })
    expect(error.message).toContain('axis 1 is 4 instead of 5')
    expect(error.message).toContain('2 axes instead of 4')
    const uneven = await refusal(fixture('arrays.npz'), modelWith('int64[3, 4] ids, float[batch, 2] x'))
    expect(uneven.message).toContain('the leading axes of all arrays have to agree')
  })

  it('a missing input, with the names nothing takes', async () => {
    const error = await refusal(fixture('arrays.npz'), modelWith('int64[batch, seq] input_ids, float[batch, 2] x'))
    expect(error).toMatchObject({ code: 'data-input-missing', exitCode: 4 })
    expect(error.message).toMatch(/input_ids +int64 \[batch, seq\] +nothing +no input takes "ids", "labels"/)
  })

  it('several of these at once', async () => {
    const error = await refusal(fixture('arrays.npz'), modelWith('int64[batch, seq] input_ids, double[batch, 3] x'))
    expect(error).toMatchObject({ code: 'data-mismatch', exitCode: 4 })
    expect(error.message.split('\n')).toHaveLength(5)
  })

  it('one name with two sizes', async () => {
    const path = written('sizes.jsonl', '{"ids": [1, 2], "mask": [1, 1, 1]}')
    const error = await refusal(path, modelWith('int64[batch, seq] ids, int64[batch, seq] mask'))
    expect(error).toMatchObject({ code: 'data-shape' })
    expect(error.message).toContain('"seq" is 3 here and 2 in another input')
  })

  it('an input that is no tensor', async () => {
    const model = modelWith('seq(float[1]) x')
    expect(await refusal(fixture('arrays.npz'), model)).toMatchObject({ code: 'data-input-type', exitCode: 4 })
  })

  it('synthetic inputs of a type the runtime cannot be given', async () => {
    const error = await refusal(undefined, modelWith('bfloat16[batch, 2] x'), { synthetic: true })
    expect(error).toMatchObject({ code: 'data-synthetic', exitCode: 4, hint: expect.stringContaining('--data') })
  })
})

describe('samples that cannot be used', () => {
  it.each([
    ['NaN', Number.NaN],
    ['infinite', -Infinity],
  ])('%s stops, and names the element and the way out', async (what, value) => {
    const path = written('nan/x.npy', npy("'<f4'", '(2, 2)', float32(1, 2, value, 4)))
    const error = await refusal(path, modelWith('float[batch, 2] x'))
    expect(error).toMatchObject({
      code: 'data-not-finite',
      exitCode: 4,
      hint: expect.stringContaining('--on-bad-sample'),
    })
    expect(error.message).toContain(`x.npy[1]" cannot be used: element 0 of input "x" is ${what}`)
  })

  it.each([
    ['float16', new Uint8Array(Uint16Array.of(0x7e00, 0x3c00).buffer), "'<f2'"],
    ['double', new Uint8Array(Float64Array.of(1, Number.NaN).buffer), "'<f8'"],
  ])('NaN is seen in %s too', async (type, data, descr) => {
    const path = written(`nan/${type}.npy`, npy(descr, '(1, 2)', data))
    expect(await refusal(path, modelWith(`${type}[batch, 2] x`))).toMatchObject({ code: 'data-not-finite' })
  })

  it('the largest numbers are no infinities', async () => {
    const path = written('large.npy', npy("'<f4'", '(1, 2)', float32(3.4e38, -3.4e38)))
    expect(await contentOf(path, modelWith('float[batch, 2] x'))).toHaveLength(1)
  })

  it('are skipped on request, with their reasons, and the others keep their places', async () => {
    const lines = [
      '{"x": [1, 2]}',
      '{"x": [1, "a"]}',
      '{"x": [1]}',
      'no json',
      '{"x": [NaN, 1]}',
      '{"y": 1}',
      '[1]',
      '{"x": [5, 6]}',
    ]
    const source = await openData(written('skip.jsonl', lines.join('\n')), modelWith('float[batch, 2] x'), {
      onBadSample: 'skip',
    })
    expect((await samplesOf(source)).map(({ index, id }) => [index, id])).toEqual([
      [0, 'skip.jsonl:1'],
      [7, 'skip.jsonl:8'],
    ])
    const reasons = source.skipped.map(({ reason }) => reason)
    expect(reasons).toEqual([
      'element 1 of input "x" is "a", which is no float',
      'input "x" wants float [batch, 2], not float [1, 1] (axis 1 is 1 instead of 2)',
      expect.stringMatching(/JSON/),
      'it has NaN or Infinity, which JSON has not',
      expect.stringMatching(/input "x" wants float \[batch, 2\], not nothing/),
      'it is not a JSON object',
    ])
    expect(source.manifest.count).toBe(8)
  })

  it('stop by default, at the sample', async () => {
    const path = written('stop.jsonl', '{"x": [1, 2]}\n{"x": [1, "a"]}')
    expect(await refusal(path, modelWith('float[batch, 2] x'))).toMatchObject({ code: 'data-bad-sample', exitCode: 4 })
  })

  it('are an error when nothing else is there', async () => {
    const path = written('all.jsonl', Array(20).fill('{"x": [1]}').join('\n'))
    const model = modelWith('float[batch, 2] x')
    expect(await refusal(path, model, { onBadSample: 'skip' })).toMatchObject({ code: 'data-shape' })
    const late = written('late.jsonl', `{"x": [1, 2]}\n${Array(99).fill('{"x": [1]}').join('\n')}`)
    const last = { onBadSample: 'skip', shard: { index: 100, count: 100 } } as const
    expect(await refusal(late, model, last)).toMatchObject({ code: 'data-none-left', exitCode: 4 })
  })

  it.each([
    ['an id outside of its table', '{"ids": [[1, 99]]}', /has the id 99, and its table 23 rows/],
    ['a fraction for an integer', '{"ids": [[1.5]]}', /is 1.5, which is no int64/],
    ['an integer that numbers in JSON cannot hold', '{"ids": [[9007199254740993]]}', /which is no int64/],
    ['lists of different lengths', '{"ids": [[1, 2], [3]]}', /lists of input "ids" have different lengths/],
    ['dims that do not fit', '{"ids": {"dims": [2], "data": [1]}}', /has 1 elements and dims of 2/],
    ['an unknown type', '{"ids": {"dtype": "int65", "dims": [1], "data": [1]}}', /unknown type "int65"/],
  ])('%s', async (name, line, message) => {
    const error = await refusal(written(`${name}.jsonl`, line), modelWith('int64[batch, seq] ids', 23))
    expect(error.code).toBe('data-bad-sample')
    expect(error.message).toMatch(message)
  })

  it('in a type of another name are a wrong type', async () => {
    const path = written('typed.jsonl', '{"ids": {"dtype": "int32", "dims": [1, 1], "data": [1]}}')
    expect(await refusal(path, modelWith('int64[batch, seq] ids'))).toMatchObject({ code: 'data-dtype' })
  })
})

describe('files that cannot be read', () => {
  it('a pickle inside an npz is refused by name', async () => {
    const error = await refusal(fixture('objects.npz'), arraysModel())
    expect(error).toMatchObject({ code: 'data-pickle', exitCode: 4 })
    expect(error.message).toContain('array "ids"')
    expect(error.message).toContain('holds Python objects (a pickle), which are never read')
  })

  it.each(['arrays.npz', 'arrays-deflated.npz', 'arrays.safetensors'])(
    '%s cut off anywhere is refused',
    async (name) => {
      const bytes = readFileSync(fixture(name))
      for (let length = 1; length < bytes.length; length += 7) {
        const error = await refusal(written(`cut/${name}`, bytes.subarray(0, length)), arraysModel())
        expect(['data-truncated', 'data-damaged'], `${length} bytes: ${error.message}`).toContain(error.code)
      }
    },
  )

  it('an npz cut off in the middle is called that', async () => {
    const bytes = readFileSync(fixture('arrays.npz'))
    const error = await refusal(written('cut.npz', bytes.subarray(0, bytes.length / 2)), arraysModel())
    expect(error).toMatchObject({ code: 'data-truncated', exitCode: 4, hint: expect.stringContaining('broken off') })
  })

  it('an npz with a byte changed anywhere gives an error of its own or samples, never a crash', async () => {
    const bytes = readFileSync(fixture('arrays-deflated.npz'))
    for (let at = 0; at < bytes.length; at += 3) {
      const changed = Buffer.from(bytes)
      changed[at] = (changed[at] as number) ^ 0xff
      const outcome = await contentOf(written('changed.npz', changed), arraysModel()).catch((error) => error)
      if (outcome instanceof Error) expect(outcome, `byte ${at}`).toMatchObject({ kind: 'data' })
    }
  })

  it.each([
    ['no numpy file', Buffer.from('hello, this is text'), 'data-damaged'],
    ['a short one', npy("'<f4'", '(9, 2)', float32(1, 2)), 'data-truncated'],
    ['a record array', npy("[('a', '<f4')]", '(1,)', float32(1)), 'data-unsupported'],
    ['texts', npy("'<U1'", '(1, 1)', float32(1)), 'data-unsupported'],
    ['objects', npy("'|O'", '(1, 1)', float32(1)), 'data-pickle'],
  ])('.npy: %s', async (name, bytes, code) => {
    expect(await refusal(written(`npy-${name}.npy`, bytes), modelWith('float[batch, 2] x'))).toMatchObject({ code })
  })

  it('an array whose single sample is larger than any tensor', async () => {
    const path = written('vast.npy', npy("'<f4'", '(1, 1073741824)', new Uint8Array()))
    truncateSync(path, 2 ** 32 + 1000)
    const error = await refusal(path, modelWith('float[batch, n] x'))
    expect(error).toMatchObject({ code: 'data-unsupported', exitCode: 4 })
    rmSync(path)
  })

  it('safetensors whose header lies', async () => {
    const file = (header: string, data = 8) => {
      const length = Buffer.alloc(8)
      length.writeBigUInt64LE(BigInt(header.length))
      return Buffer.concat([length, Buffer.from(header), Buffer.alloc(data)])
    }
    const model = modelWith('float[batch, 2] x')
    const code = async (bytes: Uint8Array) => (await refusal(written('lie.safetensors', bytes), model)).code
    expect(await code(file('{"x":{"dtype":"F32","shape":[1,2],"data_offsets":[0,4]}}'))).toBe('data-damaged')
    expect(await code(file('{"x":{"dtype":"F32","shape":[9,2],"data_offsets":[0,72]}}'))).toBe('data-truncated')
    expect(await code(file('{"x":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'))).toBe('data-unsupported')
    expect(await code(file('[not json'))).toBe('data-damaged')
  })

  it('one of several in a folder is skipped on request', async () => {
    for (const name of ['a', 'c']) copyFileSync(fixture('arrays.npz'), written(`several/${name}.npz`, ''))
    written('several/b.npz', 'PK')
    expect(await refusal(join(folder, 'several'), arraysModel())).toMatchObject({ code: 'data-truncated' })
    const source = await openData(join(folder, 'several'), arraysModel(), { onBadSample: 'skip' })
    expect((await samplesOf(source)).map(({ index }) => index)).toEqual([0, 1, 2, 4, 5, 6])
    expect(source.skipped).toMatchObject([{ index: 3, id: expect.stringContaining('b.npz') }])
  })

  it('a TensorProto that is none is a bad sample', async () => {
    written('sets/test_data_set_0/input_0.pb', '\xff\xff')
    expect(await refusal(join(folder, 'sets'), arraysModel())).toMatchObject({ code: 'data-bad-sample' })
  })

  it('Parquet that is none', async () => {
    expect(await refusal(written('no.parquet', 'PAR1'), arraysModel())).toMatchObject({ exitCode: 4 })
  })
})

describe('sources that are none', () => {
  it.each([
    ['nothing there', 'absent.npz', undefined, 'data-missing'],
    ['an empty file', 'empty.npz', '', 'data-empty'],
    ['no lines', 'blank.jsonl', '\n\n', 'data-empty'],
    ['an unknown format', 'data.csv', '1,2', 'data-unknown'],
  ])('%s', async (_, name, content, code) => {
    const path = content === undefined ? join(folder, name) : written(name, content)
    expect(await refusal(path, arraysModel())).toMatchObject({ code, exitCode: 4 })
  })

  it('an empty folder, and one with other files only', async () => {
    mkdirSync(join(folder, 'empty'))
    const error = await refusal(join(folder, 'empty'), arraysModel())
    expect(error).toMatchObject({ code: 'data-empty', exitCode: 4 })
    expect(error.message).toContain('the folder is empty')
    written('other/notes.md', 'hello')
    expect((await refusal(join(folder, 'other'), arraysModel())).message).toContain('none of its files')
    mkdirSync(join(folder, 'no-inputs/test_data_set_0'), { recursive: true })
    expect(await refusal(join(folder, 'no-inputs'), arraysModel())).toMatchObject({ code: 'data-empty' })
  })

  it('a folder of several formats', async () => {
    written('mixed/a.npz', 'x')
    written('mixed/b.jsonl', 'x')
    const error = await refusal(join(folder, 'mixed'), arraysModel())
    expect(error).toMatchObject({ code: 'data-unknown' })
    expect(error.message).toContain('npz, jsonl')
  })

  it.each([
    ['throws', 'throw new Error("no")', /cannot be loaded: no/],
    ['exports nothing', 'export default 1', /exports nothing to iterate over/],
    ['exports a used-up generator', 'export default (function* () { yield {} })()', /only once/],
    ['gives numbers', 'export default [1]', /not an object of inputs/],
    ['gives nothing to iterate', 'export default () => 1', /a function that gives nothing/],
  ])('a module that %s', async (name, code, message) => {
    const error = await refusal(written(`${name}.mjs`, code), arraysModel())
    expect(error).toMatchObject({ code: 'data-module', exitCode: 4 })
    expect(error.message).toMatch(message)
  })

  it('no source at all, and one beside synthetic data', async () => {
    expect(await refusal(undefined, arraysModel())).toMatchObject({ code: 'usage' })
    expect(await refusal(fixture('arrays.npz'), arraysModel(), { synthetic: true })).toMatchObject({ code: 'usage' })
  })

  it('a shard or a number that means nothing', async () => {
    for (const options of [{ shard: { index: 3, count: 2 } }, { samples: 0 }, { samples: 1.5 }, { seed: 0.5 }])
      expect(await refusal(fixture('arrays.npz'), arraysModel(), options)).toMatchObject({ code: 'usage' })
  })

  it('an interruption ends reading', async () => {
    const controller = new AbortController()
    const source = await openData(fixture('arrays.npz'), arraysModel(), { signal: controller.signal })
    controller.abort()
    await expect(samplesOf(source)).rejects.toMatchObject({ code: 'interrupted' })
  })
})

describe('packages that only some data needs', () => {
  it.each([
    ['sharp', 'images', 'float[batch, 3, h, w] x'],
    ['hyparquet', 'rows.parquet', 'int64[batch, seq] ids, float[batch, 2] x'],
    ['hyparquet-compressors', 'rows-zstd.parquet', 'int64[batch, seq] ids, float[batch, 2] x'],
  ])('%s is asked for with the command that installs it', async (name, file, inputs) => {
    vi.doMock(name, () => {
      throw new Error('Cannot find package')
    })
    try {
      const error = await refusal(fixture(file), modelWith(inputs))
      expect(error).toMatchObject({ code: 'data-package', exitCode: 4, hint: `Install it: npm install ${name}` })
      expect(error.message).toContain(`the package "${name}"`)
    } finally {
      vi.doUnmock(name)
    }
  })
})

describe('reading', () => {
  it('takes no more of a packed array than a sample needs', async () => {
    let made = 0
    const stream = Readable.from(
      (function* () {
        for (; made < 1000; made++) yield Buffer.alloc(1 << 16, made % 251)
      })(),
      { highWaterMark: 1 },
    )
    const cursor = streamCursor(stream, 'x')
    expect((await cursor.read(1 << 17, 3)).join()).toBe('2,2,2')
    expect(made).toBeLessThan(8)
    await cursor.close()
  })

  it('takes a row of a file of 64 GiB from where it is', async () => {
    const path = written('huge.npy', npy("'<f4'", '(1024, 16777216)', new Uint8Array()))
    const start = readFileSync(path).length
    truncateSync(path, start + 2 ** 36)
    const array = await openNpy(path)
    const cursor = await array.open()
    expect(array.dims).toEqual([1024, 2 ** 24])
    expect((await cursor.read(2 ** 36 - 4, 4)).join()).toBe('0,0,0,0')
    await cursor.close()
    rmSync(path)
  })

  it('bytes in memory have a cursor too', async () => {
    expect((await bytesCursor(Uint8Array.of(1, 2, 3)).read(1, 2)).join()).toBe('2,3')
  })
})
