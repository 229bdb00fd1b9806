import { describe, expect, it } from 'vitest'
import { passes } from '../passes/index.ts'
import { findSites } from '../src/attention/index.ts'
import { modelToBytes, openModel } from '../src/onnx/index.ts'
import type { PipelineSettings } from '../src/rewrite/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import type { Form } from '../src/targets/index.ts'
import { targets } from '../src/targets/index.ts'
import { blockText, modelOf } from './support/attention-text.ts'

const perHead = [-2, 0, 1, 3]
const target = { target: targets.get('ort')!, version: '1.30', provider: 'cpu' } as const
const forms: Form[] = ['zero-key', 'primitives', 'function', 'attention-zero-key']

describe.each([8, 10])('a model of IR version %i converted with calibrated sinks', (irVersion) => {
  it.each(forms)('is Softmax1 with those sinks, and stays as it is in a second run: %s', (form) => {
    const settings: Partial<PipelineSettings> = { form, sink: () => perHead }
    const opset = form === 'attention-zero-key' ? 23 : 17
    const model = modelOf(blockText({ opset }).replace('ir_version: 10', `ir_version: ${irVersion}`))
    const first = runPipeline(model, passes, { target, ...settings }).report
    expect([...first.sites.values()].map((site) => site.form)).toEqual([form])
    const bytes = modelToBytes(model)

    const again = openModel(bytes)
    expect(findSites(again).map((site) => [site.verdict.kind, site.sink])).toEqual([
      ['already-softmax1', { kind: 'constant', value: perHead }],
    ])
    const { runs } = runPipeline(again, passes, { target, ...settings })
    expect(runs.filter((run) => run.changed > 0)).toEqual([])
    expect(Buffer.from(modelToBytes(again)).equals(Buffer.from(bytes))).toBe(true)
  })
})
