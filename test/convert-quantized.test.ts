import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { passes } from '../passes/index.ts'
import { findSites } from '../src/attention/index.ts'
import type { Tensor } from '../src/ir/index.ts'
import { modelToBytes, openModel } from '../src/onnx/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import type { Feeds } from '../src/runtime/index.ts'
import { generateFeeds, installedRuntime, openSession } from '../src/runtime/index.ts'
import { targets } from '../src/targets/index.ts'
import { largestDifference } from './support/compare-outputs.ts'
import { appendSink } from './support/oracle.ts'
import { pythonWith, runPython } from './support/python.ts'

/** Quantizes a model in the ways of ONNX Runtime's own tools; files are named after the way. */
const quantize = `
import json, logging, sys
logging.disable(logging.WARNING)
import numpy, onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
given = json.load(sys.stdin)
arrays = numpy.load(given["npz"])
class Once(CalibrationDataReader):
    def __init__(self):
        self.feeds = iter([{name[3:]: arrays[name] for name in arrays if name.startswith("in.")}])
    def get_next(self):
        return next(self.feeds, None)
model, out = given["model"], given["out"]
quantize_dynamic(model, out + "/dynamic.onnx", weight_type=QuantType.QInt8)
quantize_static(model, out + "/static.onnx", Once(), quant_format=QuantFormat.QDQ)
quantize_static(model, out + "/operators.onnx", Once(), quant_format=QuantFormat.QOperator)
blocks = MatMulNBitsQuantizer(onnx.load(model), block_size=16)
blocks.process()
blocks.model.save_model_to_file(out + "/blocks.onnx")
json.dump(None, sys.stdout)
`
const python = pythonWith('onnx', 'numpy', 'onnxruntime.quantization.matmul_nbits_quantizer')
const target = { target: targets.get('ort')!, version: '1.20', provider: 'any' } as const
let folder = ''

describe.skipIf(!python || !installedRuntime()).each(['bert.eager.ts14', 'vit.sdpa.dynamo18'])(
  '%s quantized',
  (name) => {
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'outeffhop-quantized-'))
      const source = join('fixtures/models/exports', name)
      runPython(python as string, quantize, { model: `${source}.onnx`, npz: `${source}.npz`, out: folder })
    }, 120_000)
    afterAll(() => rmSync(folder, { recursive: true, force: true }))

    const ways: [way: string, form: string][] = [
      ['dynamic', 'zero-key'],
      ['static', 'primitives'],
      ['blocks', 'zero-key'],
    ]
    it.each(ways)('(%s) computes Softmax1 attention after conversion', async (way, form) => {
      const path = join(folder, `${way}.onnx`)
      for (const sink of [0, -2]) {
        const model = openModel(path)
        const sites = findSites(model)
        expect(sites.map((site) => site.verdict.kind)).toEqual(['attention', 'attention'])
        const { feeds } = generateFeeds(model, { batch: 2, other: 6, past: 3 }, 7)
        const { report } = runPipeline(model, passes, { target, sink })
        expect([...report.sites.values()].map((site) => site.form)).toEqual([form, form])
        const ours = await outputsOf(modelToBytes(model), feeds as Feeds)
        const names = new Set(sites.map((site) => site.output.name))
        const theirs = await outputsOf(appendSink(readFileSync(path), names, sink), feeds as Feeds)
        // Where a sum in another order rounds an activation to the next of 255 steps.
        expect(largestDifference(theirs, ours)).toBeLessThanOrEqual(2e-2)
      }
    })

    it('(operators) asks for a review of a softmax that is quantized itself', () => {
      const sites = findSites(openModel(join(folder, 'operators.onnx')))
      expect(sites.map((site) => site.verdict.reason)).toEqual(['quantized-softmax', 'quantized-softmax'])
    })
  },
)

async function outputsOf(bytes: Uint8Array, feeds: Feeds): Promise<Readonly<Record<string, Tensor>>> {
  const session = await openSession(bytes, { threads: 1 })
  try {
    return await session.run(feeds)
  } finally {
    await session.close()
  }
}
