import { describe, expect, it } from 'vitest'
import { passes } from '../passes/index.ts'
import type { Model } from '../src/ir/index.ts'
import { verify } from '../src/ir/index.ts'
import type { PipelineSettings, SiteReport } from '../src/rewrite/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import { targets } from '../src/targets/index.ts'
import type { Dense } from './support/attention-reference.ts'
import { attend, distance } from './support/attention-reference.ts'
import { modelOf } from './support/attention-text.ts'
import type { Feed } from './support/fused-model.ts'
import { runModel, TestData } from './support/fused-model.ts'

const [B, H, S, D] = [2, 3, 5, 8]
const data = new TestData(57)
const qkv = [0, 1, 2].map(() => data.floats([B, H, S, D], ['B', H, 'S', D])) as [Feed, Feed, Feed]
const type = `float[B, ${H}, S, ${D}]`
const inputs = `${type} in0, ${type} in1, ${type} in2`

interface Body {
  readonly model: number
  readonly body: number
  /** Nodes of the main graph. */
  readonly calls: string
  readonly outputs: string
  readonly axis?: number
}

/** A model whose attention is a function without types, written for an opset of its own. */
function modelWithFunction({ model, body, calls, outputs, axis = 3 }: Body): Model {
  return modelOf(`
<ir_version: 10, opset_import: ["" : ${model}, "local" : 1]>
main (${inputs}) => (${outputs}) { ${calls} }
<domain: "local", opset_import: ["" : ${body}]>
Attend (q, k, v) => (y) {
  kt = Transpose <perm = [0, 1, 3, 2]> (k) s = MatMul (q, kt) p = Softmax <axis = ${axis}> (s) y = MatMul (p, v)
}`)
}

function convert(model: Model, settings: Partial<PipelineSettings>): SiteReport[] {
  const target = { target: targets.get('ort')!, version: '1.20', provider: 'any' } as const
  const { report } = runPipeline(model, passes, { target, ...settings })
  verify(model)
  return [...report.sites.values()]
}

function reference(sink: readonly number[]): Dense {
  const [q, k, v] = qkv.map((feed) => feed.value) as [Dense, Dense, Dense]
  return attend({ q, k, v, scale: 1, sink: (head) => sink[head % sink.length] as number }).output
}

async function differences(model: Model, names: readonly string[], sink: readonly number[]): Promise<number[]> {
  const results = await runModel(model, { op: '', inputs: qkv, outputs: names })
  return names.map((name) => distance(results[name] as Dense, reference(sink)))
}

describe('a function written for another opset than the model, which ONNX Runtime does not convert,', () => {
  const opsets = [
    [17, 18],
    [18, 17],
    [13, 21],
    [23, 16],
    [12, 17],
    [16, 12],
    [12, 18],
    [18, 12],
  ] as const
  const sinks: [string, readonly number[]][] = [
    ['0', [0]],
    ['-2', [-2]],
    ['per head', [-1, 0.5, -3]],
  ]
  for (const [body, model] of opsets)
    for (const form of ['zero-key', 'primitives'] as const)
      it.each(sinks)(`loads and is right: ${body} in ${model}, ${form}, sink %s`, async (_, sink) => {
        const built = modelWithFunction({
          model,
          body,
          calls: 'y = local.Attend (in0, in1, in2)',
          outputs: `${type} y`,
        })
        const sites = convert(built, { form, sink: () => (sink.length === 1 ? (sink[0] as number) : sink) })
        expect(sites.map((site) => [site.converted, site.form])).toEqual([[true, form]])
        expect((await differences(built, ['y'], sink))[0]).toBeLessThanOrEqual(2e-6)
      })
})

describe('a function that is called in single and in half precision', () => {
  const calls = `y = local.Attend (in0, in1, in2)
    q = Cast <to = 10> (in0) k = Cast <to = 10> (in1) v = Cast <to = 10> (in2) h = local.Attend (q, k, v) z = Cast <to = 1> (h)`
  const outputs = `${type} y, ${type} z`
  for (const form of ['zero-key', 'primitives'] as const)
    it.each([[[0]], [[-2]], [[-1, 0.5, -3]]])(`takes a sink in the type of each call: ${form}, %j`, async (sink) => {
      const built = modelWithFunction({ model: 17, body: 17, calls, outputs })
      const sites = convert(built, { form, sink: () => (sink.length === 1 ? (sink[0] as number) : sink) })
      expect(sites.map((site) => site.form)).toEqual([form])
      const [single, half] = await differences(built, ['y', 'z'], sink)
      expect(single).toBeLessThanOrEqual(2e-6)
      expect(half).toBeLessThanOrEqual(1e-2)
    })
})

describe('a function whose result goes into its next call, as layers do,', () => {
  const calls = 'a = local.Attend (in0, in1, in2) b = local.Attend (a, in1, in2) y = local.Attend (b, in1, in2)'
  for (const form of ['zero-key', 'primitives'] as const)
    it.each([[[0]], [[-2]]])(`is converted and right: ${form}, %j`, async (sink) => {
      const built = modelWithFunction({ model: 17, body: 17, calls, outputs: `${type} y`, axis: -1 })
      const sites = convert(built, { form, sink: () => (sink.length === 1 ? (sink[0] as number) : sink) })
      expect(sites.map((site) => site.converted)).toEqual([true])
      const [q, k, v] = qkv.map((feed) => feed.value) as [Dense, Dense, Dense]
      const layer = (query: Dense): Dense =>
        attend({ q: query, k, v, scale: 1, sink: (head) => sink[head % sink.length] as number }).output
      const results = await runModel(built, { op: '', inputs: qkv, outputs: ['y'] })
      expect(distance(results.y as Dense, layer(layer(layer(q))))).toBeLessThanOrEqual(4e-6)
    })
})

it('a function that calls itself is no endless search', () => {
  const built = modelOf(`
<ir_version: 10, opset_import: ["" : 17, "local" : 1]>
main (${inputs}) => (${type} y) { y = local.Again (in0, in1, in2) }
<domain: "local", opset_import: ["" : 17, "local" : 1]>
Again (q, k, v) => (y) {
  kt = Transpose <perm = [0, 1, 3, 2]> (k) s = MatMul (q, kt) p = Softmax (s) c = MatMul (p, v) y = local.Again (c, k, v)
}`)
  expect(convert(built, { sink: -2 }).map((site) => site.verdict)).toEqual(['attention'])
})
