import { describe, expect, it } from 'vitest'
import { passes } from '../passes/index.ts'
import type { Model } from '../src/ir/index.ts'
import { verify } from '../src/ir/index.ts'
import { modelToBytes } from '../src/onnx/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import type { Form } from '../src/targets/index.ts'
import { targets } from '../src/targets/index.ts'
import type { Dense } from './support/attention-reference.ts'
import { attend, distance } from './support/attention-reference.ts'
import { modelOf } from './support/attention-text.ts'
import { runModel, TestData } from './support/fused-model.ts'
import { pythonWith, runPython } from './support/python.ts'

const [B, H, S, T, D] = [2, 3, 4, 6, 8]
const data = new TestData(91)
const q = data.floats([B, H, S, D], ['B', H, 'S', D])
const [k, v] = [0, 1].map(() => data.floats([B, H, T, D], ['B', H, 'T', D])) as [typeof q, typeof q]

/** Attention in operators that every opset has. */
function attention(opset: number): Model {
  return modelOf(`
<ir_version: ${opset < 9 ? 3 : opset < 23 ? 8 : 11}, opset_import: ["" : ${opset}]>
main (float[B, ${H}, S, ${D}] in0, float[B, ${H}, T, ${D}] in1, float[B, ${H}, T, ${D}] in2) => (float[B, ${H}, S, ${D}] y) {
  half = Constant <value = float {0.5}> () kt = Transpose <perm = [0, 1, 3, 2]> (in1)
  s = MatMul (in0, kt) x = Mul (s, half) p = Softmax <axis = 3> (x) y = MatMul (p, in2)
}`)
}

function reference(sink: readonly number[]): Dense {
  return attend({
    q: q.value,
    k: k.value,
    v: v.value,
    scale: 0.5,
    sink: (head) => sink[head % sink.length] as number,
  }).output
}

describe('a model of opset', () => {
  const target = { target: targets.get('ort')!, version: '1.30', provider: 'any' } as const
  const forms: [number, Form, readonly number[]][] = [7, 8, 9, 10, 11, 12, 13, 18, 22, 23, 24, 25, 26].flatMap(
    (opset) =>
      (['zero-key', 'primitives'] as const).flatMap((form) =>
        [[0], [-2], [-1, 0.5, -3]].map((sink) => [opset, form, sink] as [number, Form, readonly number[]]),
      ),
  )
  it.each(forms)('%i is converted and runs: %s, sink %j', async (opset, form, sink) => {
    const model = attention(opset)
    const { report } = runPipeline(model, passes, { target, form, sink: () => (sink.length === 1 ? sink[0]! : sink) })
    verify(model)
    // A zero key needs Expand.
    const expected = opset < 8 ? 'primitives' : form
    expect([...report.sites.values()].map((site) => [site.converted, site.form])).toEqual([[true, expected]])
    expect(model.opset).toBe(opset)
    const { y } = await runModel(model, { op: '', inputs: [q, k, v], outputs: ['y'] })
    expect(distance(y as Dense, reference(sink))).toBeLessThanOrEqual(2e-6)
  })
})

/** Runs a model given as base64 on inputs of float; gives the elements of its first output. */
const evaluate = `
import base64, json, sys
import numpy, onnx
from onnx.reference import ReferenceEvaluator
given = json.load(sys.stdin)
model = onnx.load_from_string(base64.b64decode(given["model"]))
onnx.checker.check_model(model, full_check=True)
feeds = {f["name"]: numpy.array(f["data"], numpy.float32).reshape(f["dims"]) for f in given["feeds"]}
json.dump(numpy.asarray(ReferenceEvaluator(model).run(None, feeds)[0], numpy.float64).flatten().tolist(), sys.stdout)
`
const python = pythonWith('onnx', 'numpy', 'ml_dtypes')

describe.skipIf(!python)(
  'a model that computes in bfloat16, in which the CPU provider of ONNX Runtime has no kernels,',
  () => {
    const heads = `float[B, ${H}, S, ${D}]`
    const keys = `float[B, ${H}, T, ${D}]`
    const text = `
<ir_version: 8, opset_import: ["" : 17]>
main (${heads} in0, ${keys} in1, ${keys} in2) => (${heads} y) {
  q = Cast <to = 16> (in0) k = Cast <to = 16> (in1) v = Cast <to = 16> (in2)
  half = Constant <value = bfloat16 {0.5}> () kt = Transpose <perm = [0, 1, 3, 2]> (k)
  s = MatMul (q, kt) x = Mul (s, half) p = Softmax <axis = 3> (x) c = MatMul (p, v) y = Cast <to = 1> (c) }`
    const target = { target: targets.get('onnx')!, version: undefined, provider: 'any' } as const
    const cases = (['zero-key', 'primitives'] as const).flatMap((form) =>
      [[0], [-2], [-1, 0.5, -3]].map((sink) => [form, sink] as const),
    )
    it.each(cases)('is right to rounding in the reference evaluator: %s, sink %j', (form, sink) => {
      const model = modelOf(text)
      const { report } = runPipeline(model, passes, { target, form, sink: () => (sink.length === 1 ? sink[0]! : sink) })
      verify(model)
      expect([...report.sites.values()].map((site) => site.form)).toEqual([form])
      const feeds = [q, k, v].map(({ value }, i) => ({ name: `in${i}`, dims: value.dims, data: [...value.data] }))
      const bytes = Buffer.from(modelToBytes(model)).toString('base64')
      const y = runPython(python as string, evaluate, { model: bytes, feeds }) as number[]
      const expected = reference(sink)
      expect(distance({ ...expected, data: Float64Array.from(y) }, expected)).toBeLessThanOrEqual(4e-2)
    })
  },
)
