import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { passes } from '../passes/index.ts'
import { Tensor } from '../src/ir/index.ts'
import { modelToBytes, openModel, parseModel } from '../src/onnx/index.ts'
import type { PipelineSettings } from '../src/rewrite/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import { openSession } from '../src/runtime/index.ts'
import { targets } from '../src/targets/index.ts'
import { root } from './support/built.ts'
import { readNpz } from './support/npz.ts'
import { pythonWith } from './support/python.ts'
import { buildEngines } from './support/tensorrt.ts'

const target = { target: targets.get('tensorrt')!, version: '10.15', provider: 'any' } as const
const exports = join(root, 'fixtures/models/exports')
interface Export {
  readonly file: string
  readonly npz: string
  readonly sites_expected: number
}
const manifest: Export[] = JSON.parse(readFileSync(join(exports, 'manifest.json'), 'utf8'))

function converted(bytes: string | Uint8Array, settings: Partial<PipelineSettings> = {}) {
  const model = typeof bytes === 'string' ? openModel(bytes) : openModel(bytes)
  const { report } = runPipeline(model, passes, { target, ...settings })
  return { model, report, bytes: modelToBytes(model) }
}

describe('an export for TensorRT', () => {
  it.each(manifest)(
    '$file in float16 computes Softmax1 attention to half precision',
    async ({ file, npz, sites_expected }) => {
      const { report, bytes } = converted(join(exports, file), { precision: 'float16' })
      expect([...report.sites.values()].filter((site) => site.converted)).toHaveLength(sites_expected)
      const arrays = readNpz(join(exports, npz))
      const feeds: Record<string, Tensor> = {}
      for (const [name, { type, data, dims }] of arrays) {
        const dtype = { float32: 1, float64: 11, int64: 7, int32: 6, bool: 9, float16: 10, uint8: 2, int8: 3 }[type]
        if (name.startsWith('in.')) feeds[name.slice(3)] = Tensor.of(dtype, dims, data as Float32Array)
      }
      // With all its optimizations, ONNX Runtime 1.30 crashes on one attention in float16 that it runs well without the last.
      const session = await openSession(bytes, { optimization: 'extended' })
      const outputs = await session.run(feeds)
      for (const [name, { data }] of arrays) {
        if (!name.startsWith('s1.')) continue
        const expected = Array.from(data as Float32Array)
        const scale = Math.max(...expected.filter(Number.isFinite).map(Math.abs), 1e-3)
        const actual = outputs[name.slice(3)]?.toNumbers() ?? []
        const worst = Math.max(...expected.map((y, i) => Math.abs(y - (actual[i] ?? 1e9)) / scale))
        // Rounding to 11 bits, through a few layers.
        expect(worst, name).toBeLessThan(1e-2)
      }
      await session.close()
    },
  )

  it.each(manifest)('$file gets no operator that TensorRT does not import', ({ file }) => {
    const operators = ({ model }: { model: ReturnType<typeof openModel> }) =>
      [...model.graphs()].flatMap((graph) => [...graph.nodes()].map((node) => node.op))
    const before = new Set(operators({ model: openModel(join(exports, file)) }))
    const added = operators(converted(join(exports, file))).filter((op) => !before.has(op))
    expect(added.filter((op) => op.includes('::') || target.target.lacks.has(op))).toEqual([])
  })

  it('has its zero key in front, and its masks a column in front', () => {
    const { model } = converted(modelToBytes(parseModel(attention(64))))
    const pads = [...model.graph.nodes()]
      .filter((node) => node.op === 'Pad')
      .map((node) => node.input(1)?.initializer?.toNumbers())
    expect(pads).toHaveLength(3)
    for (const amounts of pads) {
      const half = (amounts?.length ?? 0) / 2
      expect(amounts?.slice(half).every((n) => n === 0)).toBe(true)
      expect(amounts?.slice(0, half).filter((n) => n === 1)).toHaveLength(1)
    }
  })

  it('asks for a plugin by name on request, with a function as its body', async () => {
    const { model, report, bytes } = converted(modelToBytes(parseModel(attention(64))), { form: 'plugin' })
    expect([...report.sites.values()].map((site) => site.form)).toEqual(['plugin'])
    const node = [...model.graph.nodes()].find(({ opType }) => opType === 'HopfieldAttention')
    expect([node?.string('plugin_namespace'), node?.string('plugin_version')]).toEqual(['outeffhop', '1'])
    expect(model.functions.map(({ name }) => name)).toEqual(['HopfieldAttention'])
    await (await openSession(bytes)).close()
  })
})

/** One attention of four heads with a mask, in plain operators. */
function attention(head: number): string {
  return `<ir_version: 8, opset_import: ["" : 17]>
g (float[2,4,128,${head}] q, float[2,4,128,${head}] k, float[2,4,128,${head}] v, float[2,1,1,128] mask) => (float[2,4,128,${head}] y)
<float scale = {${head ** -0.5}}>
{
   qs = Mul (q, scale)
   kt = Transpose <perm: ints = [0, 1, 3, 2]> (k)
   x = MatMul (qs, kt)
   xm = Add (x, mask)
   p = Softmax <axis: int = -1> (xm)
   y = MatMul (p, v)
}`
}

describe('TensorRT-RTX', () => {
  const python = pythonWith('tensorrt_rtx_bindings')
  const build = (models: readonly Uint8Array[]) =>
    buildEngines(
      python as string,
      models.map((bytes) => ({ bytes })),
    )

  it.skipIf(!python)(
    'keeps its fused attention in float16 and bfloat16 for every head size it had it for',
    async () => {
      const cases = [32, 64, 128].flatMap((head) =>
        (['float16', 'bfloat16'] as const).map((precision) => ({ head, precision })),
      )
      const plain = cases.map(({ head, precision }) => {
        const model = parseModel(attention(head))
        // Nothing is converted: the types alone are lowered.
        runPipeline(
          model,
          passes.filter(({ name }) => name === 'lower-precision'),
          { target, precision },
        )
        return modelToBytes(model)
      })
      const ours = cases.map(
        ({ head, precision }) => converted(modelToBytes(parseModel(attention(head))), { precision }).bytes,
      )
      const results = await build([...plain, ...ours])
      expect(results.map(({ built }) => built)).toEqual(results.map(() => true))
      const before = results.slice(0, cases.length).map(({ fused }) => fused)
      console.log(
        'fused attention kernels before and after, by head size and type:',
        cases,
        before,
        results.slice(cases.length).map(({ fused }) => fused),
      )
      expect(Math.max(...before.map((n) => n ?? 0))).toBeGreaterThan(0)
      for (const [i, n] of before.entries()) expect(results[cases.length + i]?.fused).toBeGreaterThanOrEqual(n ?? 0)
    },
    600_000,
  )

  it.skipIf(!python)(
    'builds converted exports wherever it builds the originals',
    async () => {
      const files = manifest.map(({ file }) => file).filter((file) => existsSync(join(exports, file)))
      const originals = await build(files.map((file) => readFileSync(join(exports, file))))
      const results = await build(files.map((file) => converted(join(exports, file)).bytes))
      const lost = files.filter((_, i) => originals[i]?.built && !results[i]?.built)
      expect(originals.filter(({ built }) => built).length).toBeGreaterThan(files.length / 2)
      expect(lost.map((file) => `${file}: ${results[files.indexOf(file)]?.why}`)).toEqual([])
    },
    600_000,
  )
})
