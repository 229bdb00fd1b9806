import { describe, expect, test } from 'vitest'
import { passes } from '../passes/index.ts'
import { dtypes } from '../src/ir/index.ts'
import { parseModel } from '../src/onnx/index.ts'
import { Report, runPipeline } from '../src/rewrite/index.ts'
import type { FormFacts, FormSpec, TargetChoice } from '../src/targets/index.ts'
import {
  candidates,
  compareVersions,
  neededVersion,
  objection,
  raisedFor,
  standingOf,
  targets,
} from '../src/targets/index.ts'

const ort = targets.get('ort')!
const onnx = targets.get('onnx')!
const choose = (version: string | undefined, provider: TargetChoice['provider'] = 'any'): TargetChoice => ({
  target: ort,
  version,
  provider,
})
const facts: FormFacts = { dtype: dtypes.float, opset: 17, sink: 0, mask: false, headSize: 64, selfAttention: true }
const form = (name: string): FormSpec => ort.forms.find((spec) => spec.form === name)!

test('versions are ordered by number, not by letter', () => {
  const sorted = ['1.9', '1.20.1', '1.30', '1.20', '1.3'].sort(compareVersions)
  expect(sorted).toEqual(['1.3', '1.9', '1.20', '1.20.1', '1.30'])
  expect(compareVersions('1.20', '1.20.0')).toBe(0)
})

describe('a form', () => {
  test('is not taken before the version that runs it', () => {
    expect(objection(form('gqa'), choose('1.29', 'cpu'), facts)).toMatch('needs ort 1.30')
    expect(objection(form('gqa'), choose('1.30', 'cpu'), facts)).toBeUndefined()
  })

  test('that is right on some providers is not taken for any provider', () => {
    expect(objection(form('gqa'), choose('1.30'), facts)).toMatch('any provider')
    expect(objection(form('gqa'), choose('1.30', 'webgpu'), facts)).toMatch('not right on webgpu')
  })

  test('is refused for what it cannot express, with the reason', () => {
    const at = choose('1.30', 'cpu')
    expect(objection(form('gqa'), at, { ...facts, headSize: 20 })).toMatch('multiple of 8, it is 20')
    expect(objection(form('gqa'), at, { ...facts, selfAttention: false })).toMatch('one length')
    expect(objection(form('gqa'), at, { ...facts, dtype: dtypes.double })).toMatch('does not take double')
    expect(objection(form('mha-zero-key'), at, { ...facts, mask: true })).toMatch('no mask')
    expect(objection(form('mha-zero-key'), at, { ...facts, sink: -2 })).toMatch('sink other than 0')
    expect(objection(form('attention-zero-key'), choose('1.30', 'cpu'), facts)).toMatch('opset 23')
  })

  test('that copies all keys is not taken for one query at a time', () => {
    expect(objection(form('zero-key'), choose('1.20'), { ...facts, stepwise: true })).toMatch('copies all keys')
    expect(objection(form('primitives'), choose('1.20'), { ...facts, stepwise: true })).toBeUndefined()
  })
})

describe.each([...targets.values()])('the target $name', (target) => {
  test('has a form without any condition at the end, so that every site can be lowered', () => {
    const last = target.forms.at(-1)!
    const choice: TargetChoice = { target, version: '1.12', provider: 'any' }
    const worst: FormFacts = { dtype: undefined, opset: 7, sink: [1, 2], mask: true, stepwise: true }
    expect(last.form).toBe('primitives')
    expect(objection(last, choice, worst)).toBeUndefined()
  })

  test('offers what must be asked for only when it is, and first then', () => {
    const choice: TargetChoice = { target, version: undefined, provider: 'any' }
    const asked = target.forms.filter(({ conditions }) => conditions.onRequest).map(({ form }) => form)
    expect(asked.length).toBeGreaterThan(0)
    for (const form of asked) {
      expect(candidates(choice).map((spec) => spec.form)).not.toContain(form)
      expect(candidates(choice, form)[0]?.form).toBe(form)
    }
  })

  test('says where every fact comes from', () => {
    for (const spec of [...target.forms, ...target.fused]) expect(spec.source).not.toBe('')
  })
})

describe('what a model needs', () => {
  const model = (ir: number, opset: number) =>
    parseModel(`<ir_version: ${ir}, opset_import: ["" : ${opset}]> g (float[2] x) => (float[2] y) { y = Relu (x) }`)

  // Loaded with the released packages: opset 21 from 1.18, 22 from 1.21, 23 from 1.23, 25 from 1.24, 26 from 1.25.
  test.each([
    [8, 21, '1.19'],
    [8, 22, '1.21'],
    [8, 23, '1.23'],
    [8, 25, '1.24'],
    [8, 26, '1.25'],
    [11, 17, '1.23'],
    [13, 17, '1.24'],
  ])('IR version %i and opset %i need ONNX Runtime %s', (ir, opset, version) => {
    expect(neededVersion(model(ir, opset), ort)?.version).toBe(version)
  })

  test('raises the version asked for, and never lowers it', () => {
    expect(raisedFor(model(8, 23), choose('1.20')).version).toBe('1.23')
    expect(raisedFor(model(8, 13), choose('1.20')).version).toBe('1.20')
    expect(raisedFor(model(8, 23), { target: onnx, version: undefined, provider: 'any' }).version).toBeUndefined()
  })

  test('is in the report with a warning when the target is older', () => {
    const report = new Report()
    runPipeline(model(8, 23), passes, { target: choose('1.20'), report })
    expect(report.runtime?.version).toBe('1.23')
    expect(report.warnings.map((warning) => warning.code)).toEqual(['target-too-old'])
  })
})

test('a fused operator that the target does not have is left alone, for a reason', () => {
  const gqa = parseModel(`<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
    g (float[1,S,32] q, float[1,S,32] k, float[1,S,32] v, int32[1] l, int32 t) => (float[1,S,32] y) {
      y = com.microsoft.GroupQueryAttention <num_heads = 4, kv_num_heads = 4> (q, k, v, "", "", l, t)
    }`)
  const { report } = runPipeline(gqa, passes, { target: { target: onnx, version: undefined, provider: 'any' } })
  expect([...report.sites.values()]).toMatchObject([{ converted: false, reason: 'fused-unsupported' }])
  expect([...report.sites.values()][0]?.message).toContain('the target "onnx" has no form of')
})

describe('an operator', () => {
  test.each([
    ['Gelu', '', 17, 'opset 20'],
    ['Upsample', '', 11, 'went with opset 10'],
    ['Softmaxx', '', 17, 'no such operator'],
    ['com.microsoft::Nothing', 'com.microsoft', 17, 'has no com.microsoft::Nothing'],
    ['my::Op', 'my', 17, 'domain "my"'],
  ])('%s of domain "%s" at opset %i is reported', (op, domain, opset, problem) => {
    expect(standingOf(op, domain, opset, ort).problem).toMatch(problem)
  })

  test.each([
    ['Gelu', '', 20],
    ['Upsample', '', 9],
    ['GroupNormalization', '', 21],
    ['SimplifiedLayerNormalization', '', 17],
    ['com.microsoft::MultiHeadAttention', 'com.microsoft', 17],
    ['ai.onnx.ml::Scaler', 'ai.onnx.ml', 17],
    ['OperatorOfTheFuture', '', 99],
  ])('%s of domain "%s" at opset %i is known', (op, domain, opset) => {
    expect(standingOf(op, domain, opset, ort).problem).toBeUndefined()
  })

  test('that is newer than the target version raises what the result requires', () => {
    const text = `<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
      g (float[2] x, float[2] g) => (float[2] y) { y = com.microsoft.GatedAdd (x, x, g) }`
    const { report } = runPipeline(parseModel(text), passes, { target: choose('1.20') })
    expect(report.runtime).toEqual({ version: '1.29', reason: 'its com.microsoft::GatedAdd' })
  })

  test('of ONNX Runtime is foreign to the target of standard operators', () => {
    expect(standingOf('com.microsoft::FastGelu', 'com.microsoft', 17, onnx).problem).toMatch('domain')
  })
})
