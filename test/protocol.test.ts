import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readOwnTable } from '../src/calibrate/index.ts'
import { calibrate } from '../src/calibrate.ts'
import { main } from '../src/cli/main.ts'
import { convert } from '../src/convert.ts'
import { openData } from '../src/data/index.ts'
import { split } from '../src/held-out.ts'
import type { Model } from '../src/ir/index.ts'
import { dtypes, Tensor } from '../src/ir/index.ts'
import { modelToBytes, openModel, parseModel } from '../src/onnx/index.ts'
import { quantize } from '../src/quantize.ts'
import { installedRuntime, openSession } from '../src/runtime/index.ts'
import { labelledExports } from './support/exports.ts'
import { fixtures } from './support/pass-case.ts'
import { pythonWith } from './support/python.ts'
import { recordedWorld } from './support/world.ts'

/** What support/published-protocol.py made: a layer, samples, and what the simulation gives, computed in numpy. */
interface Reference {
  readonly weights: Readonly<Record<string, { readonly dims: readonly number[]; readonly values: readonly number[] }>>
  readonly samples: readonly { readonly ids: number[]; readonly kinds: number[]; readonly hidden: number[] }[]
  readonly ranges: Readonly<Record<string, readonly [number, number]>>
  readonly quantized: readonly (readonly number[])[]
  readonly real: readonly (readonly number[])[]
}

const file = join(fixtures, 'protocol/bert-layer.json')
const reference: Reference = JSON.parse(readFileSync(file, 'utf8'))
const canRun = installedRuntime() !== undefined
if (!canRun) console.log('skipped: the protocol in ONNX Runtime, which is not installed')

const folder = mkdtempSync(join(tmpdir(), 'outeffhop-protocol-'))
const [path, data, table, output] = ['layer.onnx', 'samples.jsonl', 'table.json', 'out.onnx'].map((name) =>
  join(folder, name),
) as [string, string, string, string]
/** A table of every value, and the layer quantized by it. */
const [whole, published] = ['whole.json', 'published.onnx'].map((name) => join(folder, name)) as [string, string]
afterAll(() => rmSync(folder, { recursive: true }))

beforeAll(async () => {
  writeFileSync(path, modelToBytes(layer()))
  const lines = reference.samples.map(({ ids, kinds, hidden }) =>
    JSON.stringify({ ids: [ids], kinds: [kinds], hidden: [[[hidden]]] }),
  )
  writeFileSync(data, `${lines.join('\n')}\n`)
  if (!canRun) return
  await calibrate(path, { data, output: whole, all: true, method: 'moving-average' })
  await quantize(path, { calibration: whole, protocol: 'outeffhop', output: published })
})

describe.skipIf(!canRun)('the published protocol', () => {
  it('takes the running extremes of the reference at every point, and has a quantizer at no other', async () => {
    const { values, statistics } = readOwnTable(whole)
    const quantizers = [...openModel(published).graph.nodes()].filter(({ op }) => op === 'QuantizeLinear')
    const names = quantizers.map((node) => (node.input(0)?.name ?? '').replace(/\/real$/, ''))
    expect(names.sort()).toEqual(Object.keys(reference.ranges).sort())
    for (const [name, [low, high]] of Object.entries(reference.ranges)) {
      expect(values.has(name), name).toBe(true)
      const { min, max } = statistics(name)?.rangeBy('moving-average') ?? { min: Number.NaN, max: Number.NaN }
      expect(min).toBeCloseTo(low, 5)
      expect(max).toBeCloseTo(high, 5)
    }
  })

  it('gives what the simulation in numpy gives, to rounding', async () => {
    const outputs = await outputsOf(published, 'disabled')
    const step = ((reference.ranges.z?.[1] ?? 0) - (reference.ranges.z?.[0] ?? 0)) / 255
    for (const [i, expected] of reference.quantized.entries()) {
      const distances = expected.map((x, j) => Math.abs(x - (outputs[i]?.[j] ?? Number.NaN)))
      expect(Math.max(...distances)).toBeLessThan(1e-3 * step)
      // The simulation is no identity: it lies whole steps away from the layer it is of.
      const loss = expected.map((x, j) => Math.abs(x - (reference.real[i]?.[j] ?? Number.NaN)))
      expect(Math.max(...loss)).toBeGreaterThan(step / 2)
    }
  })

  it('gives nearly the same with the integer kernels ONNX Runtime makes of it', async () => {
    const outputs = await outputsOf(published, 'all')
    const step = ((reference.ranges.z?.[1] ?? 0) - (reference.ranges.z?.[0] ?? 0)) / 255
    for (const [i, expected] of reference.quantized.entries())
      for (const [j, x] of expected.entries())
        expect(Math.abs(x - (outputs[i]?.[j] ?? Number.NaN))).toBeLessThan(4 * step)
  })

  it('is refused by a table that observed less, which names what to do', async () => {
    await calibrate(path, { data, output: table, overwrite: true, method: 'moving-average' })
    const refused = await quantize(path, { calibration: table, protocol: 'outeffhop', output, overwrite: true }).catch(
      (error) => error,
    )
    expect(refused).toMatchObject({ code: 'quantization-uncalibrated', exitCode: 4 })
    expect(refused.hint).toContain('--all')
  })

  it('is what calibrate observes for it when asked', async () => {
    const world = recordedWorld()
    const args = ['calibrate', path, '--data', data, '--protocol', 'outeffhop', '-o', table, '--overwrite']
    expect(await main(args, world)).toBe(0)
    expect(readOwnTable(table).watching).toMatchObject({ all: true, histograms: false })
    expect(await main([...args, '--method', 'all'], world)).toBe(2)
  })

  it.each([
    [['--alpha', '0.5'], '--alpha'],
    [['--smooth'], '--smooth'],
    [['--range', 'mse'], '--range'],
    [['--reduce-range'], '--reduce-range'],
    [['--prefer', 'size'], '--prefer'],
    [['--recipe', 'int8-dynamic'], 'int8-dynamic'],
    [['--recipe', 'auto'], 'auto'],
    [['--max-drop', '0.1'], '--max-drop'],
  ])('contradicts %j', async (flags, named) => {
    const world = recordedWorld()
    const args = ['quantize', path, '--data', data, '--protocol', 'outeffhop', '-o', output, '--overwrite', ...flags]
    expect(await main(args, world)).toBe(2)
    expect(world.err()).toContain(named)
    expect(world.err()).toContain('--protocol')
  })

  it('leaves the heads of a model in float that are named, with their weights', async () => {
    const keepFloat = 'product_w2'
    await calibrate(path, { data, output: table, overwrite: true, all: true, method: 'moving-average' })
    const { quantization } = await quantize(path, {
      ...{ calibration: table, protocol: 'outeffhop', output, overwrite: true, keepFloat },
    })
    expect(quantization).toMatchObject({ quantized: 5, float: 1 })
    const { values } = openModel(output).graph
    expect(values.get('w2')?.initializer?.dtype).toBe(dtypes.float)
    expect(values.has('outer/real')).toBe(false)
  })

  it('quantizes whole exports, converted too, which ONNX Runtime runs', async () => {
    const bert = labelledExports().find(([name]) => name === 'bert.eager.ts14')?.[1] as string
    const settings = { data: undefined, synthetic: true, samples: 4, output, overwrite: true } as const
    const { quantization } = await quantize(bert, { ...settings, protocol: 'outeffhop' })
    expect(quantization.float).toBe(0)
    expect(quantization.quality?.cosineMean).toBeGreaterThan(0.98)
    const { document } = await convert(bert, {
      ...{ output, overwrite: true, dataOptions: { synthetic: true, samples: 4 }, sink: 'zero', acceptDrift: true },
      quantize: { protocol: 'outeffhop', minCosine: 0.5 },
    })
    expect(document.sites.every(({ form }) => form === 'primitives')).toBe(true)
    const names = [...openModel(output).graph.nodes()].filter(({ op }) => op === 'QuantizeLinear')
    // Of each layer: six products, scores, probabilities, context, two sums, two norms; of the rest: two sums, a norm, a pooler.
    expect(names).toHaveLength(2 * 13 + 4)
  })
})

describe.skipIf(!canRun)('softmax bias correction', () => {
  it('gives back to probabilities what rounding takes from each head in the mean', async () => {
    const settings = { data, protocol: 'outeffhop', softmaxCorrection: true, minCosine: 0 } as const
    await quantize(path, { ...settings, output, overwrite: true })
    const made = openModel(output)
    const add = made.graph.values.get('p')?.producer
    expect(add?.op).toBe('Add')
    const bias = add?.input(1)?.initializer?.toNumbers() ?? []
    const [scale, zero] = [1, 2].map((port) => add?.input(0)?.producer?.input(port)?.initializer?.toNumbers()[0] ?? 0)
    const errors = await probabilityErrors(scale as number, zero as number)
    expect(bias).toHaveLength(2)
    for (const [head, b] of bias.entries()) expect(b).toBeCloseTo(errors[head] as number, 6)
    // Rows that are cut off lose: the correction is no zero.
    expect(Math.max(...bias.map(Math.abs))).toBeGreaterThan(1e-5)
  })

  it('is refused where probabilities are float, and where there is nothing to measure on', async () => {
    const settings = { softmaxCorrection: true, output, overwrite: true } as const
    await expect(quantize(path, { ...settings, data })).rejects.toMatchObject({ code: 'usage' })
    await calibrate(path, { data, output: table, overwrite: true, all: true, method: 'moving-average' })
    const withTable = { ...settings, calibration: table, protocol: 'outeffhop' } as const
    await expect(quantize(path, withTable)).rejects.toMatchObject({ code: 'usage' })
  })
})

/** The mean of `p - Q(p)` of each head, p as the float layer has it, over the data that is not kept back. */
async function probabilityErrors(scale: number, zero: number): Promise<number[]> {
  const model = openModel(path)
  const p = model.graph.values.get('p')
  if (!p) throw new Error('the layer has probabilities')
  p.type = { kind: 'tensor', dtype: dtypes.float, shape: undefined }
  model.graph.setOutput(1, p)
  const session = await openSession(modelToBytes(model), { optimization: 'disabled' })
  const sums = [0, 0]
  let count = 0
  try {
    const { calibration } = split(await openData(data, openModel(path), {}))
    for await (const { feeds } of calibration.samples()) {
      const values = (await session.run(feeds)).p?.toNumbers() ?? []
      for (const [i, x] of values.entries()) {
        const rounded = (Math.min(255, Math.max(0, Math.round(x / scale) + zero)) - zero) * scale
        const head = i < values.length / 2 ? 0 : 1
        sums[head] = (sums[head] ?? 0) + x - rounded
      }
      count += values.length / 2
    }
  } finally {
    await session.close()
  }
  return sums.map((sum) => sum / count)
}

it('the committed numbers are those the reference gives', () => {
  const python = pythonWith('numpy')
  if (python === undefined) return
  const made = join(folder, 'made.json')
  const script = fileURLToPath(new URL('support/published-protocol.py', import.meta.url))
  expect(spawnSync(python, [script, made], { encoding: 'utf8' }).stderr).toBe('')
  const again: Reference = JSON.parse(readFileSync(made, 'utf8'))
  for (const [i, expected] of reference.quantized.entries())
    for (const [j, x] of expected.entries()) expect(again.quantized[i]?.[j]).toBeCloseTo(x, 5)
  expect(Object.keys(again.ranges)).toEqual(Object.keys(reference.ranges))
})

async function outputsOf(model: string, optimization: 'disabled' | 'all'): Promise<number[][]> {
  const session = await openSession(model, { optimization })
  try {
    const outputs: number[][] = []
    for (const { ids, kinds, hidden } of reference.samples) {
      const { z } = await session.run({
        ids: Tensor.of(dtypes.int64, [1, ids.length], ids),
        kinds: Tensor.of(dtypes.int64, [1, kinds.length], kinds),
        hidden: Tensor.of(dtypes.float, [1, 1, 1, hidden.length], hidden),
      })
      outputs.push(z?.toNumbers() ?? [])
    }
    return outputs
  } finally {
    await session.close()
  }
}

/** The layer of the reference as an exporter writes it, Softmax1 spelled out. */
function layer(): Model {
  const shapes = Object.entries(reference.weights).map(([name, { dims }]) => `float[${dims}] ${name} = ...`)
  const linear = (x: string, w: string, b: string, y: string) =>
    `[product_${w}] ${y}_m = MatMul (${x}, ${w})  ${y} = Add (${y}_m, ${b})`
  const heads = (x: string, perm: string) =>
    `${x}_s = Reshape (${x}, split)  ${x}_h = Transpose <perm: ints = [${perm}]> (${x}_s)`
  const text = `<ir_version: 8, opset_import: ["" : 17]>
    layer (int64[B,S] ids, int64[B,S] kinds, float[B,1,1,S] hidden) => (float[B,S,8] z)
    <${shapes.join(', ')}, int64[1,5] places = {0,1,2,3,4}, int64[4] split = {0,0,2,4}, int64[3] join = {0,0,8},
     float root = {2.0}, float zero = {0.0}, float half = {0.5}, float one = {1.0}, float root2 = {1.4142135623730951}>
    {
      words = Gather (word, ids)
      sorts = Gather (kind, kinds)
      embedded = Add (words, sorts)
      spots = Gather (place, places)
      placed = Add (embedded, spots)
      x = LayerNormalization <axis: int = -1, epsilon: float = 1e-12> (placed, gamma0, beta0)
      ${linear('x', 'wq', 'bq', 'q')}
      ${linear('x', 'wk', 'bk', 'k')}
      ${linear('x', 'wv', 'bv', 'v')}
      ${heads('q', '0, 2, 1, 3')}
      ${heads('k', '0, 2, 3, 1')}
      ${heads('v', '0, 2, 1, 3')}
      raw = MatMul (q_h, k_h)
      scores = Div (raw, root)
      masked = Add (scores, hidden)
      top = ReduceMax <axes: ints = [-1], keepdims: int = 1> (masked)
      bound = Max (top, zero)
      low = Sub (masked, bound)
      e = Exp (low)
      total = ReduceSum <keepdims: int = 1> (e, last)
      sunk = Neg (bound)
      sink = Exp (sunk)
      all = Add (total, sink)
      p = Div (e, all)
      context = MatMul (p, v_h)
      c_t = Transpose <perm: ints = [0, 2, 1, 3]> (context)
      c = Reshape (c_t, join)
      ${linear('c', 'wo', 'bo', 'o')}
      sum1 = Add (o, x)
      y = LayerNormalization <axis: int = -1, epsilon: float = 1e-12> (sum1, gamma1, beta1)
      ${linear('y', 'w1', 'b1', 'h')}
      h_d = Div (h, root2)
      h_e = Erf (h_d)
      h_1 = Add (h_e, one)
      h_2 = Mul (h, h_1)
      inner = Mul (h_2, half)
      ${linear('inner', 'w2', 'b2', 'outer')}
      sum2 = Add (outer, y)
      z = LayerNormalization <axis: int = -1, epsilon: float = 1e-12> (sum2, gamma2, beta2)
    }`.replace('int64[1,5] places', 'int64[1] last = {-1}, int64[1,5] places')
  return parseModel(text, {
    fill: ({ name, dtype, dims }) => Tensor.of(dtype, dims, reference.weights[name]?.values ?? [], name),
  })
}
