import { describe, expect, it } from 'vitest'
import { expandAttention } from '../passes/expand-attention.ts'
import { passes } from '../passes/index.ts'
import type { TargetChoice } from '../src/targets/index.ts'
import { targets } from '../src/targets/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import type { Model } from '../src/ir/index.ts'
import { verify } from '../src/ir/index.ts'
import { findSites } from '../src/attention/index.ts'
import { distance } from './support/attention-reference.ts'
import type { FusedCase } from './support/fused-cases.ts'
import { mergedCases, multiHeadCases, onnxCases } from './support/fused-cases.ts'
import { operatorModel, runModel } from './support/fused-model.ts'

const ort = (version: string, provider: TargetChoice['provider'] = 'any'): TargetChoice => ({
  target: targets.get('ort')!,
  version,
  provider,
})
const onnx: TargetChoice = { target: targets.get('onnx')!, version: undefined, provider: 'any' }
const cases = [...multiHeadCases(), ...mergedCases(), ...onnxCases()]

/** Scores of masked keys are huge; differences are taken where the reference is finite and of ordinary size. */
function expectClose(actual: Record<string, { dims: readonly number[]; data: Float64Array }>, c: FusedCase, expected: readonly { dims: readonly number[]; data: Float64Array }[], tolerance: number): void {
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
    const sinks = new Map<string, number | readonly number[]>([['0', 0], ['-2', -2], ['per head', perHead]])
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
          if (process.env.VERBOSE) console.log(c.name, label, target.version, site?.form, site?.formReason, JSON.stringify(site?.rejectedForms))
          expectClose(await runModel(model, c.model), c, expected, 2e-6)
          expect(leftIn(model), 'converting again').toEqual([])
        }
      })
    }
  }
})
