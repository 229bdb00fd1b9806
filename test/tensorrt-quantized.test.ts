import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Model, Value } from '../src/ir/index.ts'
import { dtypes, float8ToNumber, numberToFloat8 } from '../src/ir/index.ts'
import { modelToBytes, openModel, parseModel } from '../src/onnx/index.ts'
import { Facts } from '../src/ops/index.ts'
import { findProducts } from '../src/quantize/index.ts'
import { quantize } from '../src/quantize.ts'
import { generateFeeds, installedRuntime, openSession } from '../src/runtime/index.ts'
import { random } from '../src/runtime/random.ts'
import type { QdqRule } from '../src/targets/index.ts'
import { checkQdq } from '../src/targets/index.ts'
import type { Source } from './support/explicit.ts'
import { explicit, exportAt, halved } from './support/explicit.ts'
import { inputsOfExport, labelledExports } from './support/exports.ts'
import { pythonWith } from './support/python.ts'
import { realModels } from './support/real-models.ts'
import { buildEngines } from './support/tensorrt.ts'

const canRun = installedRuntime() !== undefined
if (!canRun) console.log('skipped: explicit quantization, which calibrates in ONNX Runtime')

const forms = [
  ['int8', undefined],
  ['int8', 'float16'],
  ['fp8', 'float16'],
] as const

describe.skipIf(!canRun)('explicit Q/DQ of an export', () => {
  const committed = labelledExports().filter(([, path]) => path.startsWith('fixtures'))

  it.each(committed)('%s is what TensorRT takes, with no zero point and no operator of a runtime', async (_, path) => {
    for (const [recipe, precision] of forms) {
      const { model, quantization } = await explicit(exportAt(path), recipe, precision)
      expect(checkQdq(model)).toEqual([])
      expect(quantization.products.some(({ quantized }) => quantized)).toBe(true)
      const nodes = [...model.graphs()].flatMap((graph) => [...graph.nodes()])
      expect(nodes.filter(({ domain }) => domain !== '').map(({ op }) => op)).toEqual([])
      const zeros = nodes.filter(({ op }) => op.endsWith('eLinear')).map((node) => node.input(2)?.initializer)
      expect(zeros.length).toBeGreaterThan(0)
      expect(new Set(zeros.map((zero) => zero?.dtype))).toEqual(
        new Set([recipe === 'int8' ? dtypes.int8 : dtypes.float8e4m3fn]),
      )
      expect(zeros.flatMap((zero) => zero?.toNumbers() ?? [Number.NaN]).every((z) => z === 0)).toBe(true)
    }
  })

  it.each(committed)('%s computes what the float model does, up to 8 bits', async (_, path) => {
    const feeds = inputsOfExport(path)
    const run = async (bytes: Uint8Array) => {
      const session = await openSession(bytes, { threads: 1, optimization: 'basic' })
      const outputs = await session.run(feeds)
      await session.close()
      return Object.values(outputs).flatMap((tensor) =>
        tensor.dtype === dtypes.float ? tensor.toNumbers(1 << 24).filter(Number.isFinite) : [],
      )
    }
    const expected = await run(modelToBytes(openModel(path)))
    for (const recipe of ['int8', 'fp8'] as const) {
      const { bytes } = await explicit(exportAt(path), recipe, undefined, { convert: false })
      // Random weights, and a few inputs: a step of 127, or three bits of fraction, through two layers.
      expect(cosine(expected, await run(bytes)), recipe).toBeGreaterThan(0.97)
    }
  })
})

describe.skipIf(!canRun)('float8 in attention', () => {
  it.each([
    [true, 'float16', 4],
    [false, 'float16', 0],
    [true, undefined, 0],
  ] as const)(
    'with stated lengths %s and the type %s is in front of %d operands',
    async (stated, precision, operands) => {
      const { model, report } = await explicit(attention(32, stated), 'fp8', precision)
      const softmax = [...model.graph.nodes()].find(({ op }) => op === 'Softmax')
      const products = [...model.graph.nodes()].filter(({ op }) => op === 'MatMul').slice(1)
      const quantized = products.flatMap(({ inputs }) =>
        inputs.filter((value) => value?.producer?.op === 'DequantizeLinear'),
      )
      expect(softmax).toBeDefined()
      expect(quantized).toHaveLength(operands)
      expect(report.warnings.map(({ code }) => code)).toEqual(operands === 0 ? ['attention-not-quantized'] : [])
    },
  )
})

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]) => x.reduce((sum, value, i) => sum + value * (y[i] ?? 0), 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

describe.skipIf(!canRun)('a calibration cache of TensorRT', () => {
  it('gives the scales that it holds to the activations of the model', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'outeffhop-cache-'))
    try {
      const path = 'fixtures/models/exports/bert.eager.ts14.onnx'
      const inputs = new Set(findProducts(openModel(path), new Facts()).products.map(({ input }) => input.name))
      const bits = [...inputs].map((name, i) => [name, 0x3c000000 + 4711 * i] as const)
      const lines = bits.map(([name, scale]) => `${name}: ${scale.toString(16)}`)
      writeFileSync(join(folder, 'calibration.cache'), ['TRT-8601-EntropyCalibration2', ...lines, ''].join('\n'))
      const output = join(folder, 'quantized.onnx')
      const calibration = join(folder, 'calibration.cache')
      const { quantization } = await quantize(path, { target: 'tensorrt', recipe: 'int8', calibration, output })
      expect(quantization.quantized).toBe(13)
      const nodes = [...openModel(output).graph.nodes()].filter(({ op }) => op === 'QuantizeLinear')
      const scales = nodes.map((node) => [node.input(0)?.name, node.input(1)?.initializer?.toNumbers()[0]])
      const held = new DataView(new ArrayBuffer(4))
      const expected = bits.map(([name, scale]) => {
        held.setUint32(0, scale)
        return [name, held.getFloat32(0)]
      })
      expect(new Map(scales as [string, number][])).toEqual(new Map(expected as [string, number][]))
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

describe('float8e4m3fn', () => {
  const codes = Array.from({ length: 256 }, (_, bits) => bits).filter((bits) => (bits & 0x7f) !== 0x7f)

  it('is read and written without a change', () => {
    expect(codes.map((bits) => numberToFloat8(float8ToNumber(bits)))).toEqual(codes)
    expect([0x7e, 0x01, 0x08, 0xc0].map(float8ToNumber)).toEqual([448, 2 ** -9, 2 ** -6, -2])
    expect(float8ToNumber(0x7f)).toBeNaN()
  })

  it('takes the nearest number, the even one of two, and the largest beyond it', () => {
    const next = random(7)
    for (let i = 0; i < 2000; i++) {
      const x = (next() - 0.5) * 2 ** Math.round(next() * 24 - 12)
      const best = Math.min(...codes.map((bits) => Math.abs(float8ToNumber(bits) - x)))
      expect(Math.abs(float8ToNumber(numberToFloat8(x)) - x)).toBe(best)
    }
    expect([17, 19, 1e6, -1e6, 2 ** -10].map((x) => float8ToNumber(numberToFloat8(x)))).toEqual([16, 20, 448, -448, 0])
  })
})

describe('a quantization for a target', () => {
  it.each([
    ['tensorrt', 'int8-dynamic'],
    ['tensorrt', 'weights-int4'],
    ['ort', 'fp8'],
  ] as const)('%s is refused with the recipe %s, which it has nothing to run with', async (target, recipe) => {
    const run = quantize('fixtures/models/exports/bert.eager.ts14.onnx', { target, recipe, synthetic: true })
    await expect(run).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining(target) })
  })

  it('is refused with half precision where kernels of integers give float', async () => {
    const run = quantize('fixtures/models/exports/bert.eager.ts14.onnx', { precision: 'float16', synthetic: true })
    await expect(run).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('float16') })
  })
})

const weight = Array.from({ length: 64 * 32 }, (_, i) => ((i * 37) % 255) - 127)
const ones = (count: number, value: number | string = 0.01) => Array.from({ length: count }, () => value).join(', ')

/** A product of 64 by 32 with explicit Q/DQ, in which each part can be another one. */
function product(
  parts: Partial<Record<'scale' | 'zero' | 'weights' | 'axis' | 'nodes' | 'inputs', string>> = {},
): Model {
  return parseModel(`<ir_version: 9, opset_import: ["" : 19]>
g (float[8,64,64] x${parts.inputs ?? ''}) => (float[8,64,32] y)
<${parts.scale ?? 'float xs = {0.02}'}, ${parts.zero ?? 'int8 xz = {0}'}, int8[64,32] w = {${weight.join(', ')}},
 ${parts.weights ?? `float[32] ws = {${ones(32)}}, int8[32] wz = {${ones(32, 0)}}`}, float[32] b = {${ones(32)}}>
{
  ${
    parts.nodes ??
    `xq = QuantizeLinear (x, xs, xz)
  xd = DequantizeLinear (xq, xs, xz)
  wd = DequantizeLinear <axis: int = ${parts.axis ?? 1}> (w, ws, wz)
  p = MatMul (xd, wd)
  y = Add (p, b)`
  }
}`)
}

const planted: readonly (readonly [claim: string, rule: QdqRule, model: () => Model])[] = [
  ['a zero point other than 0', 'zero-point', () => product({ zero: 'int8 xz = {3}' })],
  [
    'a zero point of a weight other than 0',
    'zero-point',
    () => product({ weights: `float[32] ws = {${ones(32)}}, int8[32] wz = {1, ${ones(31, 0)}}` }),
  ],
  ['u8 with a zero point', 'zero-point', () => product({ zero: 'uint8 xz = {128}' })],
  ['a negative scale', 'scale-positive', () => product({ scale: 'float xs = {-0.02}' })],
  ['a scale of 0', 'scale-positive', () => product({ scale: 'float xs = {0.0}' })],
  [
    'a negative scale of one channel',
    'scale-positive',
    () => product({ weights: `float[32] ws = {-0.01, ${ones(31)}}, int8[32] wz = {${ones(32, 0)}}` }),
  ],
  [
    'scales of a weight along its rows',
    'weight-axis',
    () => product({ axis: '0', weights: `float[64] ws = {${ones(64)}}, int8[64] wz = {${ones(64, 0)}}` }),
  ],
  [
    'more scales than channels',
    'scale-shape',
    () => product({ weights: `float[31] ws = {${ones(31)}}, int8[31] wz = {${ones(31, 0)}}` }),
  ],
  [
    'an activation with a scale for each channel',
    'activation-per-tensor',
    () =>
      product({
        scale: `float[64] xs = {${ones(64)}}`,
        zero: `int8[64] xz = {${ones(64, 0)}}`,
        nodes: `xq = QuantizeLinear <axis: int = 2> (x, xs, xz)
  xd = DequantizeLinear <axis: int = 2> (xq, xs, xz)
  wd = DequantizeLinear <axis: int = 1> (w, ws, wz)
  y = MatMul (xd, wd)`,
      }),
  ],
  [
    'a scale of another type than the data',
    'scale-type',
    () =>
      product({
        scale: 'float16 xs = {0.02}',
        nodes: `xq = QuantizeLinear (x, xs, xz)
  xd = DequantizeLinear (xq, xs, xz)
  xf = Cast <to: int = 1> (xd)
  wd = DequantizeLinear <axis: int = 1> (w, ws, wz)
  y = MatMul (xf, wd)`,
      }),
  ],
  [
    'a scale that is computed',
    'scale-constant',
    () =>
      product({
        inputs: ', float s',
        nodes: `xq = QuantizeLinear (x, s, xz)
  xd = DequantizeLinear (xq, s, xz)
  wd = DequantizeLinear <axis: int = 1> (w, ws, wz)
  y = MatMul (xd, wd)`,
      }),
  ],
  ['16-bit integers', 'quantized-type', () => product({ zero: 'int16 xz = {0}' })],
  [
    'another scale behind than in front',
    'pair',
    () =>
      product({
        scale: 'float xs = {0.02}, float other = {0.03}',
        nodes: `xq = QuantizeLinear (x, xs, xz)
  xd = DequantizeLinear (xq, other, xz)
  wd = DequantizeLinear <axis: int = 1> (w, ws, wz)
  y = MatMul (xd, wd)`,
      }),
  ],
  [
    'a product with one operand in float',
    'operands',
    () =>
      product({
        nodes: `wd = DequantizeLinear <axis: int = 1> (w, ws, wz)
  y = MatMul (x, wd)`,
      }),
  ],
  [
    'a result that is quantized for no product',
    'output-quantized',
    () =>
      product({
        nodes: `xq = QuantizeLinear (x, xs, xz)
  xd = DequantizeLinear (xq, xs, xz)
  wd = DequantizeLinear <axis: int = 1> (w, ws, wz)
  p = MatMul (xd, wd)
  pq = QuantizeLinear (p, xs, xz)
  pd = DequantizeLinear (pq, xs, xz)
  y = Tanh (pd)`,
      }),
  ],
  [
    'integers that meet no DequantizeLinear',
    'pair',
    () =>
      product({
        nodes: `xq = QuantizeLinear (x, xs, xz)
  wd = DequantizeLinear <axis: int = 1> (w, ws, wz)
  xf = Cast <to: int = 1> (xq)
  y = MatMul (xf, wd)`,
      }),
  ],
]

describe('the check of explicit Q/DQ', () => {
  it('has nothing against a product as it should be', () => {
    expect(checkQdq(product())).toEqual([])
  })

  it.each(planted)('finds %s', (_, rule, model) => {
    const found = checkQdq(model())
    expect(found.map((finding) => finding.rule)).toContain(rule)
    expect(found.every(({ node, message, advice }) => message.includes(`"${node}"`) && advice.endsWith('.'))).toBe(true)
  })
})

describe('TensorRT-RTX', () => {
  const python = pythonWith('tensorrt_rtx_bindings')
  const build = (models: readonly Uint8Array[]) =>
    buildEngines(
      python as string,
      models.map((bytes) => ({ bytes })),
      'SM89',
    )

  it.skipIf(!python)(
    'builds a product as it should be, and refuses the planted faults that the check calls refused',
    async () => {
      const models = planted.map(([, , model]) => model())
      const [sound, ...results] = await build([product(), ...models].map(modelToBytes))
      expect(sound?.built).toBe(true)
      const severity = (i: number) =>
        checkQdq(models[i] as Model).find(({ rule }) => rule === planted[i]?.[1])?.severity
      const refused = planted.filter((_, i) => severity(i) === 'refused').map(([claim]) => claim)
      expect(planted.filter((_, i) => !results[i]?.built).map(([claim]) => claim)).toEqual(refused)
      expect(refused.length).toBeGreaterThan(planted.length / 2 - 2)
    },
  )

  it.skipIf(!python)(
    'builds every export with int8 and with fp8 that it builds as it is',
    async () => {
      const exports = labelledExports()
      const originals = await build(exports.map(([, path]) => readFileSync(path)))
      expect(originals.filter(({ built }) => built).length).toBeGreaterThan(exports.length / 2)
      const lost: string[] = []
      for (const [recipe, precision] of forms) {
        const made = []
        for (const [name, path] of exports) {
          const { bytes, model } = await explicit(exportAt(path), recipe, precision)
          expect(checkQdq(model), name).toEqual([])
          made.push(bytes)
        }
        for (const [i, { built, why }] of (await build(made)).entries())
          if (originals[i]?.built && !built) lost.push(`${exports[i]?.[0]} in ${recipe}: ${why}`)
      }
      expect(lost).toEqual([])
    },
    3_600_000,
  )

  it.skipIf(!python)(
    'names its fused attention behind a conversion wherever it names it before, as the table says',
    async () => {
      const rows = []
      for (const [name, lengths, source] of fusible()) {
        const plain = halves.map((type) => halved(source, type, false))
        const ours = halves.map((type) => halved(source, type, true))
        const quantized = []
        for (const recipe of ['int8', 'fp8'] as const)
          for (const type of halves) quantized.push((await explicit(source, recipe, type)).bytes)
        const counts = (await build([...plain, ...ours, ...quantized])).map(({ mentions = 0 }) => mentions / 3)
        for (const [i, converted] of counts.slice(2).entries())
          expect(converted, `${name}, ${lengths}, ${i}`).toBeGreaterThanOrEqual(counts[i % 2] as number)
        rows.push([name, lengths, ...counts].join())
        console.log(rows.at(-1))
      }
      const text = [header, ...rows, ''].join('\n')
      if (process.env.UPDATE_FIXTURES) writeFileSync(table, text)
      const known = readFileSync(table, 'utf8').split('\n')
      const measured = rows.filter((row) => known.some((other) => other.startsWith(placeOf(row))))
      expect(measured.filter((row) => !known.includes(row))).toEqual([])
      expect(measured.length).toBeGreaterThan(5)
    },
    3_600_000,
  )
})

/** The model and its lengths, the first two columns. */
function placeOf(row: string): string {
  return row.split(',').slice(0, 2).join()
}

const halves = ['float16', 'bfloat16'] as const
const table = 'test/bench/tensorrt-fused.csv'
const header = [
  'model',
  'lengths',
  ...['', 'converted ', 'int8 ', 'fp8 '].flatMap((made) => halves.map((type) => made + type)),
].join()

/** Attention of head sizes that there are kernels for, and the real models that are there; heads of the exports are of 8. */
function* fusible(): Generator<readonly [name: string, lengths: string, source: Source]> {
  for (const head of [32, 64, 128])
    for (const lengths of ['dynamic', '128'])
      yield [`attention of ${head}`, lengths, attention(head, lengths === '128')]
  for (const { name, path } of realModels())
    for (const lengths of ['dynamic', '128']) yield [name, lengths, real(path, lengths === '128')]
}

function real(path: string, stated: boolean): Source {
  const read = () => {
    const model = openModel(path)
    if (stated) for (const input of model.graph.inputs) state(input, 128)
    return model
  }
  const { feeds = {} } = generateFeeds(read(), { batch: 1, other: 128, past: 0 }, 1)
  return { read, feeds }
}

/** Makes numbers of the sizes of an input that are not stated: 1 for the first. */
function state(input: Value, size: number): void {
  const { type } = input
  if (type?.kind !== 'tensor') return
  const shape = type.shape?.map((dim, axis) => (typeof dim === 'number' ? dim : axis === 0 ? 1 : size))
  input.type = { ...type, shape }
}

/** One attention of four heads with a mask behind a projection, in plain operators. */
function attention(head: number, stated: boolean): Source {
  const [batch, length] = stated ? [2, 128] : ['B', 'S']
  const width = 4 * head
  const weights = `{${Array.from({ length: width * width }, (_, i) => (((i * 7919) % 1000) - 500) / 4000).join(', ')}}`
  const read = () =>
    parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[${batch},${length},${width}] x, float[${batch},1,1,${length}] mask) => (float[${batch},4,${length},${head}] y)
<float scale = {${head ** -0.5}}, float[${width},${width}] w = ${weights}, int64[4] split = {0, 0, 4, ${head}}>
{
   flat = MatMul (x, w)
   heads = Reshape (flat, split)
   q = Transpose <perm: ints = [0, 2, 1, 3]> (heads)
   kt = Transpose <perm: ints = [0, 2, 3, 1]> (heads)
   qs = Mul (q, scale)
   x0 = MatMul (qs, kt)
   xm = Add (x0, mask)
   p = Softmax <axis: int = -1> (xm)
   y = MatMul (p, q)
}`)
  return { read, feeds: generateFeeds(read(), { batch: 2, other: 128, past: 0 }, 1).feeds ?? {} }
}
