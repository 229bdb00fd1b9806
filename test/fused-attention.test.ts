import { describe, expect, it } from 'vitest'
import { expandAttention } from '../passes/expand-attention.ts'
import { passes } from '../passes/index.ts'
import { findSites } from '../src/attention/index.ts'
import type { Model } from '../src/ir/index.ts'
import { verify } from '../src/ir/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import type { TargetChoice } from '../src/targets/index.ts'
import { targets } from '../src/targets/index.ts'
import { distance } from './support/attention-reference.ts'
import type { FusedCase } from './support/fused-cases.ts'
import { groupQueryCases, mergedCases, multiHeadCases, onnxCases } from './support/fused-cases.ts'
import type { OperatorModel } from './support/fused-model.ts'
import { operatorModel, runModel, TestData } from './support/fused-model.ts'

const ort = (version: string, provider: TargetChoice['provider'] = 'any'): TargetChoice => ({
  target: targets.get('ort')!,
  version,
  provider,
})
const onnx: TargetChoice = { target: targets.get('onnx')!, version: undefined, provider: 'any' }
const cases = [...multiHeadCases(), ...mergedCases(), ...onnxCases()]

/** Scores of masked keys are huge; differences are taken where the reference is finite and of ordinary size. */
function expectClose(
  actual: Record<string, { dims: readonly number[]; data: Float64Array }>,
  c: FusedCase,
  expected: readonly { dims: readonly number[]; data: Float64Array }[],
  tolerance: number,
): void {
  const names = c.model.outputs.filter((name) => name !== undefined)
  for (const [i, name] of names.entries()) {
    const mine = actual[name as string]!
    const reference = expected[i]!
    const keep = (x: number, j: number): number => (Math.abs(reference.data[j]!) > 1e3 ? 0 : x)
    const error = distance(
      { dims: mine.dims, data: mine.data.map(keep) },
      { dims: reference.dims, data: reference.data.map(keep) },
    )
    expect(error, `${name}: ${error}`).toBeLessThanOrEqual(tolerance)
  }
}

/** Sites a second conversion would touch. */
function leftIn(model: Model): string[] {
  return findSites(model)
    .filter((site) => ['attention', 'fused'].includes(site.verdict.kind))
    .map((site) => site.verdict.message)
}

describe('an expanded operator computes what the operator computes', () => {
  for (const c of cases) {
    it(c.name, async () => {
      const model = operatorModel(c.model)
      expect(runPipeline(model, [expandAttention], { target: onnx }).runs[0]?.changed).toBe(1)
      expect([...model.graph.nodes()].map((node) => node.domain).filter((domain) => domain !== '')).toEqual([])
      if (c.maskedRows) return
      const plain = c.reference(() => Number.NEGATIVE_INFINITY)
      expectClose(await runModel(model, c.model), c, plain, 2e-6)
      if (!c.cannotRun) expectClose(await runModel(operatorModel(c.model), c.model), c, plain, 2e-6)
    })
  }
})

describe('a converted operator computes Softmax1 attention', () => {
  const choices = [ort('1.20'), ort('1.21'), ort('1.24'), ort('1.30'), ort('1.30', 'cpu'), onnx]
  for (const c of cases) {
    const perHead = Array.from({ length: c.heads }, (_, h) => [0.5, -2, 0, 1.5][h % 4]!)
    const sinks = new Map<string, number | readonly number[]>([
      ['0', 0],
      ['-2', -2],
      ['per head', perHead],
    ])
    for (const [label, sink] of sinks) {
      it(`${c.name}, sink ${label}`, async () => {
        const expected = c.reference((h) => (typeof sink === 'number' ? sink : sink[h]!))
        for (const target of choices) {
          const model = operatorModel(c.model)
          const { report } = runPipeline(model, passes, { target, sink: () => sink })
          verify(model)
          const [site, ...more] = [...report.sites.values()]
          expect(more).toEqual([])
          expect(site).toMatchObject({ converted: true, verdict: 'fused', op: expect.stringContaining('Attention') })
          if (process.env.VERBOSE)
            console.log(
              c.name,
              label,
              target.version,
              site?.form,
              site?.formReason,
              JSON.stringify(site?.rejectedForms),
            )
          expectClose(await runModel(model, c.model), c, expected, 2e-6)
          expect(leftIn(model), 'converting again').toEqual([])
        }
      })
    }
  }
})

describe('GroupQueryAttention takes a sink itself', () => {
  for (const c of groupQueryCases()) {
    const perHead = [0.5, -2, 0, 1.5]
    for (const sink of [0, -2, perHead]) {
      it(`${c.name}, sink ${sink}`, async () => {
        const model = operatorModel(c.model)
        const { report } = runPipeline(model, passes, { target: ort('1.30', 'cpu'), sink: () => sink })
        verify(model)
        expect([...report.sites.values()]).toMatchObject([{ converted: true, form: 'gqa', sink }])
        expect([...model.graph.nodes()].map((node) => node.opType)).toEqual(['GroupQueryAttention'])
        const expected = c.reference((h) => (typeof sink === 'number' ? sink : sink[h]!))
        expectClose(await runModel(model, c.model), c, expected, 2e-6)
        expect(leftIn(model), 'converting again').toEqual([])
      })
    }
  }

  it('is left alone where a provider would be wrong, and says which', () => {
    for (const c of groupQueryCases()) {
      const { report } = runPipeline(operatorModel(c.model), passes, { target: ort('1.30') })
      const [site] = [...report.sites.values()]
      expect(site).toMatchObject(
        c.any
          ? { converted: true, reason: 'fused-operator' }
          : { converted: false, reason: 'fused-unsupported', message: expect.stringContaining('cpu and webgpu only') },
      )
    }
  })

  it('is left alone where the oldest runtime has no sink', () => {
    const [first] = groupQueryCases()
    const { report } = runPipeline(operatorModel(first!.model), passes, { target: ort('1.22'), sink: -2 })
    expect([...report.sites.values()]).toMatchObject([{ converted: false, reason: 'fused-unsupported' }])
    const again = runPipeline(operatorModel(first!.model), passes, { target: ort('1.20') })
    expect([...again.report.sites.values()]).toMatchObject([{ converted: true, form: 'gqa' }])
    expect(again.report.runtime).toMatchObject({ version: '1.20' })
  })
})

describe('operators that cannot be converted', () => {
  it.each([
    'QAttention',
    'PackedAttention',
    'PackedMultiHeadAttention',
    'DecoderMaskedSelfAttention',
    'DecoderMaskedMultiHeadAttention',
    'SparseAttention',
    'LongformerAttention',
  ])('%s is reported by its name', (op) => {
    const data = new TestData(1)
    const feeds = [0, 1, 2].map(() => data.floats([1, 4, 16]))
    const model = operatorModel({
      op,
      domain: 'com.microsoft',
      inputs: feeds,
      attributes: { num_heads: 2 },
      outputs: ['y'],
    })
    const { report } = runPipeline(model, passes, { target: ort('1.30', 'cpu') })
    expect([...report.sites.values()]).toMatchObject([
      { converted: false, verdict: 'fused', reason: 'fused-unsupported', message: expect.stringContaining(op) },
    ])
    expect([...model.graph.nodes()].map((node) => node.opType)).toEqual([op])
  })

  const merged = mergedCases()[0]!.model
  const mask4 = {
    dtype: 'int32',
    value: { dims: [2, 1, 8, 8], data: new Float64Array(128) },
    shape: ['B', 1, 'M', 'M'],
  } as const
  it.each<[string, Partial<OperatorModel>, string]>([
    ['rotary embedding', { attributes: { num_heads: 4, do_rotary: 1 } }, 'rotates its queries'],
    ['a mask of rank 4', { inputs: [...merged.inputs.slice(0, 3), mask4] }, 'mask of rank 4'],
    ['a shared buffer', { attributes: { num_heads: 4, past_present_share_buffer: 1 } }, 'shared between steps'],
  ])('merged Attention with %s is left, with the reason', (_what, change, message) => {
    const model = operatorModel({ ...merged, ...change })
    const { report } = runPipeline(model, passes, { target: ort('1.30', 'cpu') })
    expect([...report.sites.values()]).toMatchObject([
      { converted: false, reason: 'fused-unsupported', message: expect.stringContaining(message) },
    ])
    expect([...model.graph.nodes()].length, 'nothing is built').toBe(1)
  })
})
