import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { passes } from '../passes/index.ts'
import type { Graph, Node, Value } from '../src/ir/index.ts'
import { dtypes, Tensor } from '../src/ir/index.ts'
import { modelToBytes, openModel, parseModel } from '../src/onnx/index.ts'
import type { PipelineSettings } from '../src/rewrite/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import { openSession } from '../src/runtime/index.ts'
import { targets } from '../src/targets/index.ts'
import { root } from './support/built.ts'
import { cudaProgram, emulator, kernels, must } from './support/kernels.ts'
import { readNpz } from './support/npz.ts'
import { leanRuntime, tensorrtHeaders } from './support/tensorrt.ts'

const headers = tensorrtHeaders()
const nvcc = headers === undefined ? undefined : cudaProgram('nvcc')
const lean = nvcc === undefined ? undefined : leanRuntime()
const cmake = spawnSync('cmake', ['--version']).status === 0
const folder = mkdtempSync(join(tmpdir(), 'outeffhop-plugin-'))
const plugins = join(kernels, 'tensorrt')
const name = ['HopfieldAttention', '1', 'outeffhop']

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(nvcc === undefined || !cmake)('the libraries of the TensorRT plugin', () => {
  const library = (word: string): string => join(folder, 'build/tensorrt', `lib${word}.so`)
  beforeAll(async () => {
    const small = ['-DCMAKE_CUDA_ARCHITECTURES=80', '-DOUTEFFHOP_ONLY_HEAD_SIZE=64', '-DOUTEFFHOP_PROGRAMS=OFF']
    const registers = lean === undefined ? [] : [`-DTENSORRT_LIBRARY=${lean.library}`]
    const tools = [`-DTENSORRT_ROOT=${headers}`, `-DCMAKE_CUDA_COMPILER=${nvcc}`]
    await must('cmake', ['-S', kernels, '-B', join(folder, 'build'), ...small, ...tools, ...registers])
    await must('cmake', ['--build', join(folder, 'build'), '--parallel', '2'])
  }, 600_000)

  it('the one that is loaded needs no symbol of TensorRT, and shows no more than TensorRT asks for', async () => {
    const [undefinedOnes, defined] = await Promise.all([
      must('nm', ['-D', '--undefined-only', library('outeffhop_tensorrt')]),
      must('nm', ['-D', '--defined-only', library('outeffhop_tensorrt')]),
    ])
    expect(undefinedOnes).not.toMatch(/nvinfer|getPluginRegistry|getLogger|getInfer/)
    expect(defined.match(/(?<= T ).*/g)).toEqual(['getCreators', 'setLoggerFinder'])
  })

  it.skipIf(lean === undefined)('the lean runtime finds it, makes plugins of good fields and none of others', () => {
    const made = { names: name, outputs: 1, runs: true }
    const refused = { nothing: null, 'two numbers': null, 'a double': null, 'no number': null, 'a field more': null }
    expect(load(library('outeffhop_tensorrt'))).toMatchObject({
      added: 1,
      names: name,
      fields: [['scale', 'FLOAT32']],
      made: { build: { 'a scale': made, ...refused }, runtime: { 'a scale': made, ...refused } },
    })
  })

  it.skipIf(lean === undefined)(
    'the one that registers itself does so beside the major version of its headers only',
    () => {
      const version = readFileSync(join(headers!, 'NvInferVersion.h'), 'utf8')
      const built = Number(/#define (?:NV_TENSORRT|TRT)_MAJOR(?:_ENTERPRISE)? (\d+)/.exec(version)?.[1])
      const { major, ...seen } = load(library('outeffhop_tensorrt_registered'), 'registers')
      expect(seen).toMatchObject(major === built ? { added: 1, names: name } : { added: 0 })
    },
  )

  /** What the lean runtime sees of a library. */
  function load(...args: string[]): { readonly major: number } {
    const run = spawnSync(lean!.python, [join(root, 'test/support/load-plugin.py'), ...args], { encoding: 'utf8' })
    if (run.status !== 0) throw new Error(`the lean runtime ended with ${run.status ?? run.signal}: ${run.stderr}`)
    return JSON.parse(run.stdout)
  }
})

describe.skipIf(nvcc === undefined)('the TensorRT plugin on host memory', () => {
  const program = join(folder, 'run-plugin')
  beforeAll(async () => {
    const includes = [`-I${kernels}`, `-I${join(kernels, 'include')}`, '-isystem', headers as string]
    const ours = ['plugin.cpp', 'call.cpp'].map((file) => join(plugins, file))
    const shared = ['call.cpp', 'reference.cpp'].map((file) => join(kernels, file))
    const host = ['plugin-on-host.cpp', 'run-plugin.cpp'].map((file) => join(emulator, file))
    // What nvcc brings are the headers of CUDA.
    await must(nvcc!, [
      '-std=c++17',
      '-O1',
      '-Xcompiler',
      '-Wall,-Wextra',
      ...includes,
      ...ours,
      ...shared,
      ...host,
      '-o',
      program,
    ])
  }, 300_000)

  const exports = join(root, 'fixtures/models/exports')
  const manifest: { file: string; npz: string }[] = JSON.parse(readFileSync(join(exports, 'manifest.json'), 'utf8'))

  it.each(['float32', 'float16'] as const)(
    'computes every node of the exports as the function does, in %s',
    async (type) => {
      let nodes = 0
      for (const { file, npz } of manifest) {
        const model = asPlugin(join(exports, file), {
          precision: type === 'float16' ? 'float16' : undefined,
          sink: 0.5,
        })
        nodes += await comparePlugins(model, feedsOf(join(exports, npz)))
      }
      console.log(`${nodes} nodes of ${manifest.length} exports were held against the function, in ${type}`)
      expect(nodes).toBeGreaterThan(10)
    },
    600_000,
  )

  it('takes a sink a head, and a mask of queries and keys alone', async () => {
    const model = asPlugin(modelToBytes(parseModel(flat)), { sink: () => [0.5, -1, 0, 2] })
    const feeds = { q: wave([3, 4, 5, 8]), k: wave([3, 4, 6, 8]), v: wave([3, 4, 6, 8]), mask: wave([5, 6]) }
    expect(await comparePlugins(model, feeds)).toBe(1)
  })

  it('takes one batch of keys and values for many of queries, and key heads that queries share', () => {
    const [q, mask, sink] = [wave([2, 4, 3, 8]), wave([2, 1, 3, 5]), wave([4, 1, 1])]
    const [k, v] = [wave([1, 2, 5, 8]), wave([1, 2, 5, 6])]
    const spread = (x: Tensor) => {
      const [, heads, rows, size] = x.dims as [number, number, number, number]
      const head = (h: number) => x.toNumbers().slice(h * rows * size, (h + 1) * rows * size)
      const all = [0, 1].flatMap(() => Array.from({ length: heads }, (_, h) => [...head(h), ...head(h)]).flat())
      return Tensor.of(dtypes.float, [2, 2 * heads, rows, size], all)
    }
    const [whole, broadcast] = [[q, spread(k), spread(v), mask, sink].map(inWords), [q, k, v, mask, sink].map(inWords)]
    const said = runPlugin(`0.3 ${broadcast.join(' ')}`)
    expect(said).toMatch(/^4 2 4 3 6\n/)
    expect(said).toBe(runPlugin(`0.3 ${whole.join(' ')}`))
  })

  it.each([
    ['a mask of another length', '4 1 1 1 2 0 0', /mask does not broadcast/],
    ['a mask of 5 dimensions', '5 1 1 1 1 1 0', /mask does not broadcast/],
  ])('refuses %s', async (_, mask, why) => {
    const ones = 'f32 4 1 1 1 1 1'
    expect(runPlugin(`1 ${ones} ${ones} ${ones} f32 ${mask} f32 3 1 1 1 0`)).toMatch(why)
  })

  it('refuses a scale that is no number, types that differ, and heads that do not fit', () => {
    const one = (type: string) => `${type} 4 1 1 1 1 1`
    const sink = 'f32 3 1 1 1 0'
    const five = (q: string, k: string, v: string, mask: string, last = sink) => [q, k, v, mask, last].join(' ')
    const f32 = one('f32')
    expect(runPlugin(`nan ${five(f32, f32, f32, f32)}`)).toMatch(/"scale" has to be there, and finite/)
    expect(runPlugin(`1 ${five(f32, one('f16'), f32, f32)}`)).toMatch(/refused\nformat/)
    expect(runPlugin(`1 ${five(one('f16'), one('f16'), one('f16'), one('bf16'))}`)).toMatch(/refused\nformat/)
    expect(runPlugin(`1 ${five(f32, f32, f32, f32, 'f32 3 2 1 1 0 0')}`)).toMatch(/one logit, or one a head/)
    const [three, two] = ['f32 4 1 3 1 1 1 1 1', 'f32 4 1 2 1 1 1 1']
    expect(runPlugin(`1 ${five(three, two, two, f32)}`)).toMatch(/no multiple of the number of key heads/)
  })

  /** The output of each node HopfieldAttention, by the function in ONNX Runtime and by the plugin; how many there are. */
  async function comparePlugins(model: ReturnType<typeof openModel>, feeds: Record<string, Tensor>): Promise<number> {
    const nodes = [...model.graph.nodes()].filter(({ opType }) => opType === 'HopfieldAttention')
    if (nodes.length === 0) return 0
    const values = [...new Set(nodes.flatMap((node) => [...node.inputs, node.output()]))] as Value[]
    for (const value of values) show(model.graph, value)
    const session = await openSession(modelToBytes(model), { optimization: 'basic' })
    const results = await session.run(feeds)
    await session.close()
    for (const node of nodes) compare(node, (value) => value.initializer ?? (feeds[value.name] ?? results[value.name])!)
    return nodes.length
  }

  function compare(node: Node, tensorOf: (value: Value) => Tensor): void {
    const inputs = node.inputs.map((value) => tensorOf(value as Value))
    const expected = tensorOf(node.output() as Value)
    const said = runPlugin(`${node.float('scale')} ${inputs.map(inWords).join(' ')}`)
    const [shape, ...numbers] = said.trimEnd().split('\n')
    expect(shape, node.label).toBe([expected.dims.length, ...expected.dims].join(' '))
    const half = inputs[0]?.dtype === dtypes.float16
    const wanted = expected.toNumbers()
    const worst = Math.max(...wanted.map((y, i) => Math.abs(y - Number(numbers[i])) / Math.max(1, Math.abs(y))))
    // The function rounds scores and weights to 11 bits in half precision, the plugin the result alone.
    expect(worst, node.label).toBeLessThan(half ? 1e-2 : 1e-5)
  }

  function runPlugin(input: string): string {
    const run = spawnSync(program, { input, encoding: 'utf8', maxBuffer: 1 << 28 })
    if (run.status !== 0) throw new Error(`the plugin ended with ${run.status ?? run.signal}: ${run.stderr}`)
    return run.stdout
  }
})

function asPlugin(bytes: string | Uint8Array, settings: Partial<PipelineSettings>) {
  const model = typeof bytes === 'string' ? openModel(bytes) : openModel(bytes)
  const target = { target: targets.get('tensorrt')!, version: '10.15', provider: 'any' } as const
  runPipeline(model, passes, { target, form: 'plugin', ...settings })
  return model
}

function feedsOf(path: string): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {}
  for (const [name, { type, data, dims }] of readNpz(path)) {
    const dtype = { float32: 1, float64: 11, int64: 7, int32: 6, bool: 9, float16: 10, uint8: 2, int8: 3 }[type]
    if (name.startsWith('in.')) feeds[name.slice(3)] = Tensor.of(dtype, dims, data as Float32Array)
  }
  return feeds
}

/** Makes a value an output of the graph too. */
function show(graph: Graph, value: Value): void {
  if (value.initializer || graph.outputs.includes(value) || graph.inputs.includes(value)) return
  graph.setOutput(graph.outputs.length, value)
}

/** A tensor as the program reads it. */
function inWords(tensor: Tensor): string {
  const type = tensor.dtype === dtypes.float16 ? 'f16' : 'f32'
  const numbers = tensor.toNumbers().map((x) => (x === -Infinity ? '-inf' : String(x)))
  return [type, tensor.dims.length, ...tensor.dims, ...numbers].join(' ')
}

/** Numbers that look like none in particular. */
function wave(dims: readonly number[]): Tensor {
  const count = dims.reduce((a, b) => a * b)
  const numbers = Float32Array.from({ length: count }, (_, i) => 3 * Math.sin(7 * i + count))
  return Tensor.of(dtypes.float, dims, numbers)
}

/** One attention whose mask has neither batch nor heads. */
const flat = `<ir_version: 8, opset_import: ["" : 17]>
g (float[b,4,s,8] q, float[b,4,t,8] k, float[b,4,t,8] v, float[s,t] mask) => (float[b,4,s,8] y)
<float scale = {0.3}>
{
   kt = Transpose <perm: ints = [0, 1, 3, 2]> (k)
   x = MatMul (q, kt)
   xs = Mul (x, scale)
   xm = Add (xs, mask)
   p = Softmax <axis: int = -1> (xm)
   y = MatMul (p, v)
}`
