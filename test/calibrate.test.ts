import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findSites } from '../src/attention/index.ts'
import type { CalibrationTable, ForeignTable } from '../src/calibrate/index.ts'
import {
  changeOf,
  checkBelongs,
  collect,
  fingerprintOf,
  mergeTables,
  quantile,
  readTable,
  runOver,
  writeTable,
} from '../src/calibrate/index.ts'
import { tableFromJson, tableToJson } from '../src/calibrate/table-json.ts'
import { calibrate } from '../src/calibrate.ts'
import { main } from '../src/cli/main.ts'
import type { Model } from '../src/ir/index.ts'
import { dtypes, Tensor } from '../src/ir/index.ts'
import { modelToBytes, openModel, parseModel } from '../src/onnx/index.ts'
import type { Feeds } from '../src/runtime/index.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import { fixtures } from './support/pass-case.ts'
import { random } from './support/random.ts'
import { feedsOfExport, samplesOf } from './support/samples.ts'
import { recordedWorld } from './support/world.ts'

const installed = installedRuntime() !== undefined
if (!installed) console.log('skipped: onnxruntime-node is not installed')
const exports = join(import.meta.dirname, '../fixtures/models/exports')

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-calibrate-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const header = '<ir_version: 8, opset_import: ["" : 17]>'

/** Seeded numbers, one of them far out. */
function floats(dims: readonly number[], seed: number): Tensor {
  const next = random(seed)
  const size = dims.reduce((a, b) => a * b, 1)
  return Tensor.of(
    dtypes.float,
    dims,
    Array.from({ length: size }, (_, i) => (i === 3 ? 40 : 1) * (2 * next() - 1)),
  )
}

/** The outputs of some values of a model, by sample. */
async function fetched(path: string, names: readonly string[], feeds: readonly Feeds[]) {
  const model = openModel(path)
  for (const name of names) {
    const value = model.graph.values.get(name)
    if (value === undefined || model.graph.outputs.includes(value)) continue
    value.type ??= { kind: 'tensor', dtype: dtypes.float, shape: undefined }
    model.graph.setOutput(model.graph.outputs.length, value)
  }
  const seen: Record<string, Tensor>[] = []
  await runOver(model, samplesOf(feeds), (_, outputs) => void seen.push(outputs), { fetches: names })
  return seen
}

const number = (x: number | undefined) => x as number

describe.skipIf(!installed)('calibrating an export', () => {
  for (const [name, batch] of [
    ['bert.eager.ts14', 1],
    ['detr.eager.ts17', 2],
    ['bert.sdpa.dynamo23', 1],
  ] as const) {
    const path = join(exports, `${name}.onnx`)
    const feeds = feedsOfExport(join(exports, `${name}.npz`), batch)

    it(`sees in ${name} the extremes, means and elements that its activations have`, async () => {
      const table = await collect(openModel(path), samplesOf(feeds))
      const names = [...table.values.keys()].filter((value) => !(value in (feeds[0] as Feeds)))
      expect(names.length).toBeGreaterThan(5)
      const activations = await fetched(path, names, feeds)
      for (const value of names) {
        const statistics = table.statistics(value)
        const all = activations.flatMap((sample) => sample[value]?.toNumbers() ?? [])
        const [min, max] = [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))]
        expect(statistics?.range.min).toBeCloseTo(min, 5)
        expect(statistics?.range.max).toBeCloseTo(max, 5)
        const { histogram } = table.values.get(value) ?? {}
        expect(Array.from(histogram?.counts ?? []).reduce((a, b) => a + b, 0)).toBe(all.length)
        if (statistics?.channels)
          expectChannels(
            statistics.channels,
            activations.map((sample) => sample[value] as Tensor),
          )
      }
    })
  }

  function expectChannels(
    { axis, min, max, mean }: { axis: number; min: Float64Array; max: Float64Array; mean: Float64Array },
    samples: readonly Tensor[],
  ): void {
    const seen = Array.from(min, (): number[] => [])
    for (const { dims, ...tensor } of samples.map((t) => ({ dims: t.dims, data: t.toNumbers() }))) {
      const stride = dims.slice(dims.length + axis + 1).reduce((a, b) => a * b, 1)
      for (const [i, x] of tensor.data.entries()) seen[Math.floor(i / stride) % min.length]?.push(x)
    }
    for (const [c, values] of seen.entries()) {
      expect(number(min[c])).toBeCloseTo(Math.min(...values), 5)
      expect(number(max[c])).toBeCloseTo(Math.max(...values), 5)
      expect(number(mean[c])).toBeCloseTo(values.reduce((a, b) => a + b) / values.length, 4)
    }
  }

  it('sees L = ln Σ exp(score) of every row, head by head', async () => {
    const path = join(exports, 'bert.eager.ts14.onnx')
    const feeds = feedsOfExport(join(exports, 'bert.eager.ts14.npz'))
    const table = await collect(openModel(path), samplesOf(feeds))
    const sites = findSites(openModel(path)).filter((site) => site.verdict.kind === 'attention')
    expect(table.sites.map((site) => site.output)).toEqual(sites.map((site) => site.output.name))
    const scores = await fetched(
      path,
      sites.map((site) => site.input?.name ?? ''),
      feeds,
    )
    for (const [i, { heads, logsumexp }] of table.sites.entries()) {
      const count = heads?.count ?? 0
      const rows = Array.from({ length: count }, (): number[] => [])
      for (const sample of scores) {
        const x = sample[sites[i]?.input?.name ?? ''] as Tensor
        const [, , queries = 0, keys = 0] = x.dims
        const data = x.toNumbers()
        for (let row = 0; row < data.length / keys; row++) {
          const own = data.slice(row * keys, (row + 1) * keys)
          rows[Math.floor(row / queries) % count]?.push(Math.log(own.reduce((sum, s) => sum + Math.exp(s), 0)))
        }
      }
      for (const [head, own] of rows.entries()) {
        const seen = logsumexp[head] as (typeof logsumexp)[number]
        const sorted = own.sort((a, b) => a - b)
        expect(Math.abs(quantile(seen.rows, 0) - number(sorted[0]))).toBeLessThanOrEqual(1 / 64)
        expect(Math.abs(quantile(seen.rows, 1) - number(sorted.at(-1)))).toBeLessThanOrEqual(1 / 64)
        const gates = own.map((l) => 1 / (1 + Math.exp(-l)))
        expect(changeOf(seen)?.gate).toBeCloseTo(gates.reduce((a, b) => a + b) / gates.length, 3)
      }
    }
  })

  it('leaves the model and its folder as they were', async () => {
    const path = join(folder, 'kept.onnx')
    writeFileSync(path, readFileSync(join(exports, 'bert.eager.ts14.onnx')))
    const before = readdirSync(folder)
    const model = openModel(path)
    const printed = fingerprintOf(model)
    const table = await collect(model, samplesOf(feedsOfExport(join(exports, 'bert.eager.ts14.npz'))), { all: true })
    const probabilities = table.sites.map((site) => table.statistics(site.output)?.range)
    expect(probabilities.every((range) => range && range.min >= 0 && range.max <= 1)).toBe(true)
    expect(readdirSync(folder)).toEqual(before)
    expect(model.edited).toBe(false)
    expect(fingerprintOf(model)).toBe(printed)
  })
})

describe.skipIf(!installed)('what is observed', () => {
  const fill = ({ dtype, dims }: { readonly dtype: number; readonly dims: readonly number[] }) =>
    Tensor.of(dtype, dims, new Array(dims.reduce((a, b) => a * b, 1)).fill(0.5))
  const names = async (graph: string, feeds: Feeds, settings = {}) => {
    const table = await collect(parseModel(`${header} ${graph}`, { fill }), samplesOf([feeds]), settings)
    return { table, names: [...table.values.keys()] }
  }

  it('is what meets a weight, with channels as the weight says', async () => {
    const { table, names: seen } = await names(
      `g (float[2,3,5,5] x, float[4,6] a, float[6,4] b) => (float[2,4,5,5] c, float[6,2] d, float[3,4] e, float[4,4] f)
       <float[4,3,1,1] w = ..., float[4,2] v = ..., float[3,6] u = ...> {
         r = Relu (x)  c = Conv (r, w)  d = Gemm <transA = 1> (a, v)  e = MatMul (u, b)  f = MatMul (a, b) }`,
      { x: floats([2, 3, 5, 5], 1), a: floats([4, 6], 2), b: floats([6, 4], 3) },
    )
    expect(seen).toEqual(['r', 'a', 'b'])
    expect(seen.map((name) => table.statistics(name)?.channels?.axis)).toEqual([-3, -2, undefined])
    expect(seen.map((name) => table.statistics(name)?.channels?.min.length)).toEqual([3, 4, undefined])
  })

  it('is every float that depends on the input with `all`, infinite ones counted apart', async () => {
    const { table, names: seen } = await names(
      `g (float[4] x) => (float[4] y) <float[4] c = {1, 2, 3, 4}> { s = Shape (x)  z = Log (n)  n = Neg (q)  q = Relu (x)  y = Add (z, c) }`.replace(
        's = Shape (x)  z = Log (n)  n = Neg (q)  q = Relu (x)',
        'q = Relu (x)  z = Log (q)',
      ),
      { x: Tensor.of(dtypes.float, [4], [-1, 0, 1, 2]) },
      { all: true },
    )
    expect(seen).toEqual(['x', 'q', 'z', 'y'])
    expect(table.values.get('z')?.notFinite).toBe(1)
    expect(table.statistics('z')).toBeUndefined()
    expect(table.statistics('q')?.range).toEqual({ min: 0, max: 2 })
  })

  it('includes half precision and moments where they are asked for', async () => {
    const model = `g (float[2,4] x) => (float[2,4] y) <float16[4,4] w = ...> { h = Cast <to = 10> (x)  m = MatMul (h, w)  y = Cast <to = 1> (m) }`
    const { table } = await names(model, { x: floats([2, 4], 4) }, { moments: 'token' })
    expect(table.statistics('h')?.channels?.mean.length).toBe(4)
    expect(table.values.get('h')?.moments).toMatchObject({ units: 2, count: 8 })
  })
})

const linear = `${header} g (float[N,4] x) => (float[N,2] y) <float[4,2] w = {1, 2, 3, 4, 5, 6, 7, 8}> { y = MatMul (x, w) }`
const linearModel = (): Model => parseModel(linear)
const rows = Array.from({ length: 12 }, (_, i): Feeds => ({ x: floats([1 + (i % 3), 4], i + 1) }))

describe.skipIf(!installed)('parts of a table', () => {
  it('make the same table in any order and division: ranges and histograms to the bit, sums to 1e-9', async () => {
    const whole = await collect(linearModel(), samplesOf(rows), { moments: 'sequence' })
    const divisions = new Map<number, CalibrationTable[]>()
    for (const count of [2, 3, 5]) {
      const parts = Array.from({ length: count }, (_, i) => samplesOf(rows, { index: i + 1, count }))
      const tables: CalibrationTable[] = []
      for (const part of parts) tables.push(await collect(linearModel(), part, { moments: 'sequence' }))
      divisions.set(count, tables)
    }
    const orders = fc
      .constantFrom(...divisions.keys())
      .chain((count) => fc.shuffledSubarray(divisions.get(count) ?? [], { minLength: count }))
    const exact = (table: CalibrationTable) => {
      const { values, ...rest } = JSON.parse(tableToJson(table))
      return { ...rest, x: [values.x.ranges, values.x.histogram, values.x.channels.min, values.x.channels.max] }
    }
    fc.assert(
      fc.property(orders, ([first, ...others]) => {
        const merged = mergeTables([first as CalibrationTable, ...others])
        expect(exact(merged)).toEqual(exact(whole))
        const [a, b] = [merged, whole].map((table) => table.values.get('x'))
        for (const [i, sum] of Array.from(a?.channels?.sum ?? []).entries()) {
          expect(sum / number(b?.channels?.sum[i])).toBeCloseTo(1, 9)
        }
        for (const field of ['kurtosis', 'infinity', 'mean', 'm2', 'm4'] as const)
          expect(number(a?.moments?.[field]) / number(b?.moments?.[field])).toBeCloseTo(1, 9)
      }),
      { numRuns: 30 },
    )
    expect([whole.isComplete, mergeTables([divisions.get(3)?.[0] as CalibrationTable]).isComplete]).toEqual([
      true,
      false,
    ])
  })

  it('that overlap, or are of other models, data or settings, are refused', async () => {
    const half = (index: number, hash?: string) => samplesOf(rows, { index, count: 2 }, hash)
    const first = await collect(linearModel(), half(1))
    const refused = async (other: Promise<CalibrationTable>) => {
      const table = await other
      return () => mergeTables([first, table])
    }
    expect(await refused(collect(linearModel(), half(1)))).toThrow(
      expect.objectContaining({ code: 'calibration-overlap' }),
    )
    expect(await refused(collect(linearModel(), half(2, 'b')))).toThrow(
      expect.objectContaining({ code: 'calibration-unlike' }),
    )
    expect(await refused(collect(linearModel(), half(2), { histograms: false }))).toThrow(
      expect.objectContaining({ code: 'calibration-unlike' }),
    )
    const other = parseModel(linear.replace('8}', '9}'))
    expect(await refused(collect(other, half(2)))).toThrow(
      expect.objectContaining({ code: 'calibration-stale', exitCode: 4 }),
    )
  })

  it('come of an interruption, and going on with one gives the whole', async () => {
    const stop = new AbortController()
    const onProgress = ({ done }: { done: number }) => void (done === 5 && stop.abort())
    const partial = await collect(linearModel(), samplesOf(rows), { signal: stop.signal, onProgress })
    expect([partial.isComplete, partial.samples]).toEqual([false, [0, 1, 2, 3, 4]])
    const seen: number[] = []
    const resumed = await collect(linearModel(), samplesOf(rows), {
      resume: tableFromJson(tableToJson(partial), 'partial'),
      onProgress: ({ done }) => void seen.push(done),
    })
    expect(seen).toEqual([6, 7, 8, 9, 10, 11, 12])
    expect(tableToJson(resumed)).toBe(tableToJson(await collect(linearModel(), samplesOf(rows))))
  })
})

describe.skipIf(!installed)('bad samples', () => {
  const spoiled = [
    ...rows.slice(0, 2),
    { x: Tensor.of(dtypes.float, [1, 4], [1, Number.NaN, 2, 3]) },
    ...rows.slice(2, 4),
  ]

  it('that are not finite where a weight is stop the work, and are left out where that is wished', async () => {
    await expect(collect(linearModel(), samplesOf(spoiled))).rejects.toMatchObject({
      code: 'calibration-not-finite',
      message: '"x" is infinite or not a number on sample "#2"',
    })
    const table = await collect(linearModel(), samplesOf(spoiled), { onBadSample: 'skip' })
    expect([table.samples, table.skipped.map(({ index }) => index), table.isComplete]).toEqual([
      [0, 1, 3, 4],
      [2],
      true,
    ])
  })
})

describe('a table as a file', () => {
  const read = (text: string) => {
    const path = join(folder, 'table')
    writeFileSync(path, text)
    return readTable(path)
  }

  it.skipIf(!installed)('is read back to the bit, and belongs to its model only', async () => {
    const table = await collect(linearModel(), samplesOf(rows), { histograms: false })
    const path = join(folder, 'linear.json')
    writeTable(path, table)
    const back = readTable(path) as CalibrationTable
    expect(tableToJson(back)).toBe(tableToJson(table))
    expect(back.statistics('x')).toMatchObject({ range: table.statistics('x')?.range })
    expect(() => checkBelongs(back, linearModel())).not.toThrow()
    expect(() => checkBelongs(back, parseModel(linear.replace('{1, ', '{2, ')), path)).toThrow(
      expect.objectContaining({ code: 'calibration-stale' }),
    )
    expect(() => back.statistics('x')?.rangeBy('mse')).toThrow(
      expect.objectContaining({ code: 'calibration-without-histograms' }),
    )
    expect(back.statistics('x')?.rangeBy('moving-average').max).toBeLessThan(number(back.statistics('x')?.range.max))
  })

  it('that is none is said to be none', () => {
    for (const text of ['', '{}', '[]', '{"format": "outeffhop-calibration", "version": 1', 'hello', '{"x": 1}']) {
      expect(() => read(text)).toThrow(expect.objectContaining({ code: 'calibration-malformed' }))
    }
    expect(() => read('{"format": "outeffhop-calibration", "version": 1}')).toThrow(/fields are missing/)
    expect(() => read('{"format": "outeffhop-calibration", "version": 2}')).toThrow(
      expect.objectContaining({ code: 'calibration-version' }),
    )
    expect(() => readTable(join(folder, 'no'))).toThrow(expect.objectContaining({ code: 'calibration-unreadable' }))
  })

  it("may be ONNX Runtime's JSON, its cache, or a TensorRT cache", () => {
    const range = (text: string, name: string) => read(text).statistics(name)?.rangeBy('min-max')
    const json =
      '{"x": {"lowest": -1.5, "highest": 2.25, "CLS": "TensorData"}, "y z": {"lowest": {"data": [0.0], "dtype": "float32", "CLS": "numpy.array"}, "highest": {"data": [3.0], "dtype": "float32", "CLS": "numpy.array"}, "CLS": "TensorData"}}'
    expect(range(json, 'x')).toEqual({ min: -1.5, max: 2.25 })
    expect(range(json, 'y z')).toEqual({ min: 0, max: 3 })
    expect(range('{"x": [-1, 2]}', 'x')).toEqual({ min: -1, max: 2 })
    expect(range('x 2.25\ny z 3.0\n', 'y z')).toEqual({ min: -3, max: 3 })
    const tensorrt = read('TRT-8601-EntropyCalibration2\nx: 3c010a14\na: b: 3f800000\n')
    expect(tensorrt.statistics('a: b')?.range).toEqual({ min: -127, max: 127 })
    expect(tensorrt.statistics('x')?.range.max).toBeCloseTo(1, 2)
    expect(tensorrt.statistics('other')).toBeUndefined()
    expect(() => checkBelongs(tensorrt, linearModel())).not.toThrow()
    expect(() => checkBelongs(tensorrt, parseModel(linear.replaceAll(/\bx\b/g, 'q')))).toThrow(
      expect.objectContaining({ code: 'calibration-stale' }),
    )
  })

  it('may be any of the three files that ONNX Runtime writes, the binary one included', () => {
    const rangesOf = (name: string) => [...(readTable(join(fixtures, 'calibration', name)) as ForeignTable).ranges]
    expect(rangesOf('calibration.json').find(([name]) => name === '/layer.0/attention/ctx')?.[1].min).toBe(-3)
    expect(rangesOf('calibration.flatbuffers').sort()).toEqual([
      ['/layer.0/attention/ctx', { min: -0.5, max: 0.5 }],
      ['x', { min: -2.25, max: 2.25 }],
      ['γ', { min: -Math.fround(1e-3), max: Math.fround(1e-3) }],
    ])
    expect(rangesOf('calibration.cache').sort()).toEqual(rangesOf('calibration.flatbuffers').sort())
  })

  it('of ONNX Runtime in binary, changed anywhere or cut off, is read or refused, never a crash', () => {
    const bytes = readFileSync(join(fixtures, 'calibration/calibration.flatbuffers'))
    const path = join(folder, 'changed.flatbuffers')
    const outcomes = Array.from(bytes, (byte, at) => {
      const changed = Uint8Array.from(bytes)
      changed[at] = byte ^ 0xff
      return [changed, bytes.subarray(0, at)]
    }).flat()
    for (const each of outcomes) {
      writeFileSync(path, each)
      try {
        readTable(path)
      } catch (error) {
        expect(error).toMatchObject({ code: 'calibration-malformed' })
      }
    }
  })
})

describe.skipIf(!installed)('outeffhop-convert calibrate', () => {
  const attention = `${header} g (float[1,2,S,4] q, float[4,4] k) => (float[1,2,S,4] y) <float[4,4] w = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}> {
    a = MatMul (q, w)  t = Transpose <perm = [0, 1, 3, 2]> (a)  s = MatMul (a, t)
    ["/attn/Softmax"] p = Softmax <axis = -1> (s)  c = MatMul (p, a)  e = MatMul (c, k)  y = Add (e, q) }`
  const at = (name: string) => join(folder, name)
  const run = async (line: string) => {
    const world = recordedWorld()
    const code = await main(line.split(' '), world)
    return { code, out: world.out(), err: world.err(), json: () => JSON.parse(world.out()) }
  }
  beforeAll(() => writeFileSync(at('model.onnx'), modelToBytes(parseModel(attention))))

  it('writes a table, which explain reads to say what Softmax1 would change', async () => {
    const made = await run(`calibrate ${at('model.onnx')} --synthetic --samples 6 --moments`)
    expect([made.code, made.err]).toEqual([0, ''])
    expect(made.out).toContain('Observed 1 value and 1 attention site on 6 made-up samples.')
    expect(made.out).toContain(`Wrote ${at('model.calibration.json')}`)
    const told = await run(`explain ${at('model.onnx')} --calibration ${at('model.calibration.json')}`)
    expect(told.out).toContain('What Softmax1 changes here')
    expect(told.out).toMatch(/\/attn\/Softmax +2 +-?[\d.]+/)
    const { calibration } = (
      await run(`explain ${at('model.onnx')} --calibration ${at('model.calibration.json')} --json`)
    ).json()
    expect(calibration.sites[0].heads[0]).toMatchObject({
      masked: 0,
      zeroSink: { gate: expect.any(Number), changed: expect.any(Number) },
      calibrated: { sink: expect.any(Number), gate: expect.any(Number) },
    })
    expect(calibration.sites[0].heads[0].calibrated.gate).toBeGreaterThan(0.99)
  })

  it('merges shards to the table of all samples', async () => {
    const flags = '--synthetic --samples 7 --seed 3 --method min-max'
    await run(`calibrate ${at('model.onnx')} ${flags} -o ${at('all.json')}`)
    for (const i of [1, 2, 3]) await run(`calibrate ${at('model.onnx')} ${flags} --shard ${i}/3 -o ${at(`${i}.json`)}`)
    const merged = await run(
      `calibrate merge ${at('2.json')} ${at('3.json')} ${at('1.json')} -o ${at('merged.json')} --json`,
    )
    expect(merged.json()).toMatchObject({ command: 'calibrate', complete: true, data: { samples: 7 } })
    const [a, b] = ['merged.json', 'all.json'].map((name) => JSON.parse(readFileSync(at(name), 'utf8')))
    expect(a.values.a?.ranges ?? a.values.q.ranges).toEqual(b.values.a?.ranges ?? b.values.q.ranges)
    expect([a.sites, a.data, a.samples]).toEqual([b.sites, b.data, b.samples])
  })

  it('says what is missing, and does not touch a table that is there', async () => {
    expect(await run(`calibrate ${at('model.onnx')}`)).toMatchObject({
      code: 2,
      err: expect.stringContaining('--data'),
    })
    expect(await run(`calibrate merge ${at('1.json')}`)).toMatchObject({ code: 2, err: expect.stringContaining('-o') })
    const again = await run(`calibrate ${at('model.onnx')} --synthetic -o ${at('all.json')}`)
    expect(again).toMatchObject({ code: 6, err: expect.stringContaining('exists already') })
    const stale = await run(`explain ${join(exports, 'bert.eager.ts14.onnx')} --calibration ${at('all.json')}`)
    expect(stale).toMatchObject({ code: 4, err: expect.stringContaining('was made with another model') })
  })

  it('keeps what it has when it is interrupted, and goes on from there', async () => {
    const stop = new AbortController()
    const options = { synthetic: true, samples: 5, output: at('stopped.json') }
    const onProgress = ({ done }: { done: number }) => void (done === 2 && stop.abort())
    await expect(calibrate(at('model.onnx'), { ...options, signal: stop.signal, onProgress })).rejects.toMatchObject({
      code: 'calibration-interrupted',
      exitCode: 130,
      message: expect.stringContaining('2 of 5'),
    })
    expect(JSON.parse(readFileSync(at('stopped.json'), 'utf8'))).toMatchObject({ complete: false, samples: [0, 1] })
    expect(await calibrate(at('model.onnx'), { ...options, resume: true })).toMatchObject({ complete: true })
  })

  it('goes on with a table of the same data, and refuses one of other data', async () => {
    const more = await run(
      `calibrate ${at('model.onnx')} --synthetic --samples 7 --seed 3 --method min-max --resume -o ${at('1.json')} --json`,
    )
    expect(more.json()).toMatchObject({ complete: true, data: { samples: 7 } })
    const other = await run(
      `calibrate ${at('model.onnx')} --synthetic --samples 8 --seed 3 --method min-max --resume -o ${at('1.json')}`,
    )
    expect(other).toMatchObject({ code: 4, err: expect.stringContaining('other data') })
  })
})
