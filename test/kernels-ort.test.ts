import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { passes } from '../passes/index.ts'
import { halfToNumber, numberToHalf } from '../src/ir/elements.ts'
import type { Model } from '../src/ir/index.ts'
import { modelToBytes, parseModel } from '../src/onnx/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import { targets } from '../src/targets/index.ts'
import type { Dense } from './support/attention-reference.ts'
import { attend, broadcastPick, dense, distance, generate } from './support/attention-reference.ts'
import { TestData } from './support/fused-model.ts'
import type { KernelCase } from './support/kernel-cases.ts'
import { attentionOf, readCases } from './support/kernel-cases.ts'
import { caseTable, hostCompiler, kernels, must } from './support/kernels.ts'
import type { Job } from './support/ort-library.ts'
import { buildKernels, nodeHeaders, ortHeaders, ownOperators, runInPython, runtimes } from './support/ort-library.ts'

const compiler = hostCompiler()
const cmake = spawnSync('cmake', ['--version']).status === 0
if (!cmake) console.log('skipped: cmake does not run')
const headers = ortHeaders()
const folder = mkdtempSync(join(tmpdir(), 'outeffhop-ort-'))
const built = join(folder, 'build')
const library = join(built, 'ort/libouteffhop_ort.so')

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(compiler === undefined || !cmake || headers === undefined)('the operators for ONNX Runtime', () => {
  beforeAll(async () => {
    const options = ['CUDA=OFF', 'ONNXRUNTIME=ON', `NODE=${process.platform === 'linux' ? 'ON' : 'OFF'}`]
    const includes = [`ONNXRUNTIME_INCLUDE=${headers}`, `NODE_INCLUDE=${nodeHeaders}`]
    await buildKernels(built, ...options.map((option) => `OUTEFFHOP_${option}`), ...includes)
  }, 300_000)

  it('every kernel that runs on this processor is right on every case of the table', async () => {
    expect(await must(join(built, 'cpu_check'), [caseTable])).toMatch(/\d+ cases, 0 wrong/)
  }, 60_000)

  it('the library needs nothing but what every system has, and exports its entry alone', async () => {
    const symbols = await must('nm', ['-D', '--defined-only', library])
    expect(
      symbols
        .trim()
        .split('\n')
        .map((line) => line.split(' ').at(-1)),
    ).toEqual(['RegisterCustomOps'])
  })

  for (const [version, python] of runtimes()) {
    describe(`in ONNX Runtime ${version}`, () => {
      it('gives what the table of cases wants', async () => {
        const data = join(folder, 'cases')
        mkdirSync(data, { recursive: true })
        const writer = join(folder, 'write_cases')
        const files = ['check/write_cases.cpp', 'check/cases.cpp', 'reference.cpp', 'call.cpp']
        const [includes, sources] = [
          ['.', 'include'].map((name) => `-I${join(kernels, name)}`),
          files.map((name) => join(kernels, name)),
        ]
        await must(compiler!, ['-std=c++17', '-O1', ...includes, ...sources, '-o', writer])
        await must(writer, [caseTable, data])
        const cases = readCases(caseTable, data).filter(fitsMask)
        const answers = runInPython(python, cases.map(caseJob), library)
        const wrong = answers.map(({ output, error }, i) => {
          const row = cases[i]!
          const problem = error ?? misjudged(row, output!)
          return problem === undefined ? undefined : `${row.name}: ${problem}`
        })
        expect(wrong.filter((text) => text !== undefined)).toEqual([])
        expect(answers.every(({ operators }) => operators.join() === 'HopfieldAttention')).toBe(true)
      }, 120_000)

      it('takes the place of the function in converted models, with the same results', () => {
        const written = blocks.map(emitted)
        const [bodies, fused] = [undefined, library].map((lib) => runInPython(python, written, lib))
        for (const [i, block] of blocks.entries()) {
          const [body, kernel] = [bodies![i]!, fused![i]!]
          expect([body.error, kernel.error]).toEqual([undefined, undefined])
          expect([body.operators, kernel.operators]).toEqual([[], ['HopfieldAttention']])
          const wanted = reference(block)
          // Half precision rounds to 2^-11 of numbers up to about 4.
          const tolerance = block.half ? 4e-3 : 3e-6
          expect(distance(body.output!, wanted)).toBeLessThan(tolerance)
          expect(distance(kernel.output!, wanted)).toBeLessThan(tolerance)
          if (block.fill !== undefined) expect(hidden(kernel.output!).every((x) => x === 0)).toBe(true)
        }
      }, 120_000)

      it.skipIf(/^1\.1[67]\./.test(version))('takes a sink without a mask', () => {
        const { q, k, v } = operands([1, 2, 5, 8], [1, 2, 7, 8], [1, 2, 7, 8])
        const sink = dense([2, 1, 1], [0.5, -1])
        const mask = dense([1, 1, 1, 1], [0])
        const jobs = [
          { q, k, v, sink },
          { q, k, v, mask, sink },
        ].map((feeds) => ({ model: nodeModel(feeds, 'float', 1), feeds }))
        const [without, masked] = runInPython(python, jobs, library)
        expect(without!.error).toBeUndefined()
        expect(without!.output).toEqual(masked!.output)
      })

      it('gives the same on one thread and on three', () => {
        const jobs = blocks.slice(0, 4).map(emitted)
        const [one, three] = [1, 3].map((threads) => runInPython(python, jobs, library, threads))
        for (const [i, { output }] of one!.entries()) expect(three![i]!.output).toEqual(output)
      }, 120_000)

      it('normalises alone, along any axis and with a sink for each head', () => {
        const cases = [
          [-1, []],
          [-1, [1]],
          [-1, [3, 1, 1]],
          [2, [3, 1, 1]],
          [1, [2, 1, 1, 1]],
          [0, []],
        ] as const
        const jobs = cases.flatMap(([axis, sinks]) => [false, true].map((half) => softmaxJob(axis, sinks, half)))
        const answers = runInPython(python, jobs, library)
        for (const [i, { output, error, operators }] of answers.entries()) {
          expect(error).toBeUndefined()
          expect(operators).toEqual(['HopfieldSoftmax1'])
          expect(distance(output!, jobs[i]!.wanted)).toBeLessThan(jobs[i]!.half ? 3e-4 : 3e-7)
        }
      }, 60_000)

      it('hands on what is no number, and says what does not fit', () => {
        const { q, k, v } = operands([1, 2, 5, 8], [1, 2, 7, 8], [1, 2, 7, 8])
        const poisoned = dense(
          k.dims,
          k.data.map((x, i) => (i === 3 ? Number.NaN : x)),
        )
        const bad = (feeds: Job['feeds']) => ({ model: nodeModel(feeds, 'float', 1), feeds })
        const mask = dense([1, 1, 5, 6], new Float64Array(30))
        const short = dense([1, 2, 6, 8], v.data.subarray(0, 96))
        const sink = dense([3, 1, 1], [0, 0, 1])
        const none = dense([1, 1, 1, 1], [0])
        const jobs = [
          { q, k: poisoned, v },
          { q, k, v, mask },
          { q, k, v: short },
          { q, k, v, mask: none, sink },
        ].map(bad)
        const [nan, ...errors] = runInPython(python, jobs, library)
        expect(nan!.error).toBeUndefined()
        expect([...nan!.output!.data.subarray(0, 40)].every(Number.isNaN)).toBe(true)
        expect([...nan!.output!.data.subarray(40)].some(Number.isNaN)).toBe(false)
        expect(errors.map(({ error }) => error)).toEqual([
          expect.stringContaining('the mask [1, 1, 5, 6] does not broadcast against scores [1, 2, 5, 7]'),
          expect.stringContaining('k [1, 2, 7, 8] and v [1, 2, 6, 8] differ in their length'),
          expect.stringContaining('the sink [3, 1, 1] is neither one number nor [heads, 1, 1]'),
        ])
      }, 60_000)
    })
  }

  it.skipIf(process.platform !== 'linux')(
    'the bridge gives them to onnxruntime-node, to models of files and of bytes',
    () => {
      const block = blocks[2]!
      const { model, feeds } = emitted(block)
      const file = join(folder, 'bridged.onnx')
      writeFileSync(file, modelToBytes(model))
      const given = Object.entries(feeds).map(([name, { dims, data }]) => [name, { dims, data: [...data].map(finite) }])
      const addon = join(built, 'node/outeffhop_node.node')
      const input = JSON.stringify({ addon, library, file, optimised: join(folder, 'optimised.onnx'), feeds: given })
      const run = spawnSync(process.execPath, ['-e', bridgeProgram], {
        input,
        encoding: 'utf8',
        cwd: import.meta.dirname,
      })
      expect(run.stderr).toBe('')
      const { refused, results } = JSON.parse(run.stdout) as Bridged
      expect(refused).toEqual([
        'load(path) takes the path of a library, with a slash in it',
        expect.stringContaining('cannot open shared object file'),
        expect.stringContaining('none of operators'),
      ])
      const operators = results.map(({ optimised }) => ownOperators(Buffer.from(optimised, 'base64')))
      expect(operators).toEqual([[], ['HopfieldAttention'], ['HopfieldAttention']])
      for (const { output } of results)
        expect(distance(dense(feeds.q!.dims, output), reference(block))).toBeLessThan(3e-6)
    },
  )
})

/** What JSON can carry of a number: the lowest one in the place of -Infinity hides a key as well. */
const finite = (x: number): number => Math.max(x, -3.4028234663852886e38)

interface Bridged {
  readonly refused: string[]
  readonly results: readonly { readonly output: number[]; readonly optimised: string }[]
}

const bridgeProgram = `
const { readFileSync } = require('node:fs')
const ort = require(${JSON.stringify(createRequire(import.meta.url).resolve('onnxruntime-node'))})
const { addon, library, file, optimised, feeds } = JSON.parse(readFileSync(0, 'utf8'))
const tensor = ({ dims, data }) => new ort.Tensor('float32', Float32Array.from(data), dims)
const run = async (model) => {
  const options = { logSeverityLevel: 3, intraOpNumThreads: 2, optimizedModelFilePath: optimised }
  const session = await ort.InferenceSession.create(model, options)
  const { y } = await session.run(Object.fromEntries(feeds.map(([name, given]) => [name, tensor(given)])))
  return { output: [...y.data], optimised: readFileSync(optimised, 'base64') }
}
const refusal = (path) => { try { bridge.load(path); return 'taken' } catch (error) { return error.message } }
const bridge = require(addon)
void (async () => {
  const before = await run(file)
  const refused = [refusal('name.so'), refusal('/nowhere/name.so'), refusal(addon)]
  bridge.load(library)
  bridge.load(library)
  console.log(JSON.stringify({ refused, results: [before, await run(file), await run(readFileSync(file))] }))
})()
`

/** A block that the conversion makes one node of. */
interface Block {
  readonly mask: 'none' | 'keys' | 'scores' | 'heads'
  /** What hides keys. Row 1 of the batch sees none. */
  readonly fill?: number
  readonly sink: number | readonly number[]
  readonly half?: boolean
}

const [B, S, H, D] = [2, 37, 3, 16]
const lowest = -3.4028234663852886e38
const blocks: readonly Block[] = [
  { mask: 'none', sink: 0 },
  { mask: 'none', sink: [0.5, -2, 1.5] },
  { mask: 'keys', sink: 0, fill: lowest },
  { mask: 'scores', sink: -3, fill: -Infinity },
  { mask: 'heads', sink: [0.5, -2, 1.5], fill: -1e4 },
  { mask: 'none', sink: 0, half: true },
  { mask: 'keys', sink: [0.5, -2, 1.5], fill: -Infinity, half: true },
  { mask: 'heads', sink: 0, fill: -65504, half: true },
]

const data = new TestData(71)
const normal = (dims: readonly number[]): Dense => generate(dims, () => data.normal())
const operands = (...dims: number[][]) => {
  const [q, k, v] = dims.map(normal)
  return { q: q!, k: k!, v: v! }
}

const maskDims = { none: [], keys: [B, 1, 1, S], scores: [B, 1, S, S], heads: [B, H, S, S] } as const
const given = new Map(
  blocks.map((block) => {
    const { mask, fill = 0 } = block
    const qkv = operands([B, S, H * D], [B, S, H * D], [B, S, H * D])
    const hides = () => data.uniform() < 0.3
    const bias = generate(maskDims[mask], ([b]) => (b === 1 || hides() ? fill : mask === 'heads' ? data.normal() : 0))
    return [block, mask === 'none' ? qkv : { ...qkv, mask: bias }] as const
  }),
)

/** The block as exporters write it, converted with the form `function`; inputs and output are float32. */
function emitted(block: Block): Job {
  const feeds = given.get(block) as Job['feeds']
  const [type, to] = block.half ? ['float16', 10] : ['float', 1]
  const names = Object.keys(feeds)
  const inputs = Object.entries(feeds).map(([name, { dims }]) => `float[${dims.join(', ')}] ${name}`)
  const split = (name: string) => `${name}4 = Reshape (${name}x, split)`
  const model = parseModel(`
    <ir_version: 8, opset_import: ["" : 17]>
    block (${inputs.join(', ')}) => (float[${B}, ${S}, ${H * D}] y)
    <int64[4] split = {0, 0, ${H}, ${D}}, int64[3] merge = {0, 0, ${H * D}}, ${type} scale = {0.25}>
    {
      ${names.map((name) => `${name}x = Cast <to = ${to}> (${name})`).join(' ')}
      ${['q', 'k', 'v'].map(split).join(' ')}
      qt = Transpose <perm = [0, 2, 1, 3]> (q4) kt = Transpose <perm = [0, 2, 3, 1]> (k4) vt = Transpose <perm = [0, 2, 1, 3]> (v4)
      x = MatMul (qt, kt) z = Mul (x, scale) m = ${names.includes('mask') ? 'Add (z, maskx)' : 'Identity (z)'}
      p = Softmax <axis = -1> (m) c = MatMul (p, vt) t = Transpose <perm = [0, 2, 1, 3]> (c)
      o = Reshape (t, merge) y = Cast <to = 1> (o)
    }`)
  const target = { target: targets.get('ort')!, version: '1.20', provider: 'any' } as const
  const { report } = runPipeline(model, passes, { target, form: 'function', sink: () => block.sink })
  expect([...report.sites.values()]).toMatchObject([{ converted: true, form: 'function' }])
  return { model, feeds }
}

function reference(block: Block): Dense {
  const { q, k, v, mask } = given.get(block) as Record<string, Dense>
  const heads = (x: Dense) => generate([B, H, S, D], ([b, h, s, d]) => x.data[((b! * S + s!) * H + h!) * D + d!]!)
  const { output } = attend({
    ...{ q: heads(q!), k: heads(k!), v: heads(v!), scale: 0.25 },
    sink: (h) => (typeof block.sink === 'number' ? block.sink : block.sink[h]!),
    ...(mask ? { bias: (...at: [number, number, number, number]) => broadcastPick(mask, at) } : {}),
  })
  return generate([B, S, H * D], ([b, s, e]) => output.data[((b! * H + Math.floor(e! / D)) * S + s!) * D + (e! % D)]!)
}

/** What belongs to row 1 of the batch. */
const hidden = ({ data }: Dense): number[] => [...data.subarray(data.length / B)]

/** A model of the operator alone, in a type; what it is fed and gives is float32. */
function nodeModel(feeds: Job['feeds'], type: 'float' | 'float16' | 'bfloat16', scale: number): Model {
  const to = { float: 1, float16: 10, bfloat16: 16 }[type]
  const inputs = Object.entries(feeds).map(([name, { dims }]) => `float[${dims.join(', ')}] ${name}`)
  const casts = Object.keys(feeds).map((name) => `${name}x = Cast <to = ${to}> (${name})`)
  const operands = ['q', 'k', 'v', 'mask', 'sink'].map((name) => (name in feeds ? `${name}x` : '""'))
  while (operands.at(-1) === '""') operands.pop()
  return parseModel(`
    <ir_version: 8, opset_import: ["" : 17, "outeffhop" : 1]>
    case (${inputs.join(', ')}) => (float[a, b, c, d] y)
    {
      ${casts.join(' ')}
      o = outeffhop.HopfieldAttention <scale: float = ${scale.toExponential()}> (${operands.join(', ')})
      y = Cast <to = 1> (o)
    }`)
}

/** Whether a mask of the type of the scores can hold the bias: where no sink undoes it, the lowest float32 is not -infinity. */
function fitsMask({ type, noSink, bias }: KernelCase): boolean {
  return type !== 'f16' || !noSink || !bias?.some((x) => x < -65504 && x > -Infinity)
}

/** A case of the table as one node: what hides keys becomes a mask, and no sink is a sink of -infinity. */
function caseJob(row: KernelCase): Job {
  const { batch, heads, kvHeads, queries, keys, headSize, valueSize, lengths, causal } = row
  // A mask cannot keep a key that is no number from the scores.
  const number = (x: number) => (Number.isNaN(x) ? 0 : x)
  const visible = (b: number, s: number, t: number): boolean => {
    const length = lengths?.[b] ?? keys
    return t < length && (!causal || t - length <= s - queries)
  }
  const masked = row.bias !== undefined || causal || lengths !== undefined
  const mask = generate([batch, heads, queries, keys], ([b, h, s, t]) =>
    visible(b!, s!, t!) ? (row.bias?.[((b! * heads + h!) * queries + s!) * keys + t!] ?? 0) : -Infinity,
  )
  const sink = row.noSink ? Array.from({ length: heads }, () => -Infinity) : row.sink
  const feeds = {
    q: dense([batch, heads, queries, headSize], row.q),
    k: dense([batch, kvHeads, keys, headSize], row.k.map(number)),
    v: dense([batch, kvHeads, keys, valueSize], row.v.map(number)),
    // Releases before 1.18 refuse an operator that leaves out an input in front of another one.
    ...(masked ? { mask } : sink ? { mask: dense([1, 1, 1, 1], [0]) } : {}),
    ...(sink ? { sink: dense([heads, 1, 1], sink) } : {}),
  }
  const type = ({ f32: 'float', f16: 'float16', bf16: 'bfloat16' } as const)[row.type]
  return { model: nodeModel(feeds, type, row.scale), feeds }
}

/** Where an output is further from what is wanted than rounding of weights, values and result explains. */
function misjudged(row: KernelCase, output: Dense): string | undefined {
  const unit = { f32: 2 ** -24, f16: 2 ** -11, bf16: 2 ** -8 }[row.type]
  const spread = attentionOf({ ...row, v: row.v.map(Math.abs) })
  const smallest = row.type === 'f16' ? 2 ** -25 : 1e-30
  for (const [i, wanted] of row.wanted.entries()) {
    const got = output.data[i]!
    if (spread[i] === 0 && got !== 0) return `element ${i} is ${got} where every key is masked`
    const bound = (unit + 2e-5) * spread[i]! + unit * Math.abs(wanted) + smallest
    if (!(Math.abs(got - wanted) <= bound)) return `element ${i} is ${got} and not ${wanted}`
  }
  return row.wanted.length === output.data.length ? undefined : `has ${output.data.length} elements`
}

function softmaxJob(axis: number, sinks: readonly number[], half: boolean): Job & { wanted: Dense; half: boolean } {
  const dims = [2, 3, 5, 7]
  const rounded = (x: number) => (half ? halfToNumber(numberToHalf(x)) : Math.fround(x))
  const x = generate(dims, ([b, h]) => (b === 0 && h === 0 ? -Infinity : rounded(4 * data.normal())))
  const sink = generate(sinks, () => rounded(data.normal()))
  const given = sinks.length > 0
  const at = axis < 0 ? axis + dims.length : axis
  const wanted = generate(dims, (index) => {
    const row = Array.from({ length: dims[at]! }, (_, i) => broadcastPick(x, index.with(at, i)))
    const logit = given ? broadcastPick(sink, index.with(at, 0)) : 0
    const top = Math.max(logit, ...row)
    return Math.exp(row[index[at]!]! - top) / row.reduce((sum, v) => sum + Math.exp(v - top), Math.exp(logit - top))
  })
  const to = half ? 10 : 1
  const model = parseModel(`
    <ir_version: 8, opset_import: ["" : 17, "outeffhop" : 1]>
    rows (float[2, 3, a, 7] x${given ? `, float[${sinks.join(', ')}] s` : ''}) => (float[a, b, c, d] y)
    {
      xx = Cast <to = ${to}> (x) ${given ? `sx = Cast <to = ${to}> (s)` : ''}
      o = outeffhop.HopfieldSoftmax1 <axis: int = ${axis}> (xx${given ? ', sx' : ''}) y = Cast <to = 1> (o)
    }`)
  return { model, feeds: given ? { x, s: sink } : { x }, wanted, half }
}
