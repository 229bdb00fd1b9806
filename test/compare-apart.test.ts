import { expect, it } from 'vitest'
import { compareModels } from '../src/compare/index.ts'
import { dtypes, Tensor } from '../src/ir/index.ts'
import { modelToBytes, parseModel } from '../src/onnx/index.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import { samplesOf } from './support/samples.ts'

const installed = installedRuntime() !== undefined
if (!installed) console.log('skipped: onnxruntime-node is not installed')

const model = (op: string) =>
  modelToBytes(parseModel(`<ir_version: 8, opset_import: ["" : 17]> g (float[N] x) => (float[N] y) { y = ${op} (x) }`))

it.skipIf(!installed)('models of which one is in memory at a time compare as those that are together', async () => {
  const data = samplesOf([1, 2, 3].map((x) => ({ x: Tensor.of(dtypes.float, [2], [x, -x / 2]) })))
  const compare = (apart: boolean) =>
    compareModels(model('Tanh'), model('Sigmoid'), data.samples(), { apart, samples: 2 })
  const [together, apart] = [await compare(false), await compare(true)]
  expect(together.samples).toBe(2)
  expect(apart).toEqual(together)
  const timed = await compareModels(model('Tanh'), model('Sigmoid'), data.samples(), { apart: true, timed: true })
  expect(timed.latencyRatio).toBeGreaterThan(0)
})
