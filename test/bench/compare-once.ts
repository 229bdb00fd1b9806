/**
 * One process of the benchmark `compare.ts`: `plain` only runs both models on COUNT generated samples, one thread each, and
 * `layers` compares every tensor they share.
 */
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { compare } from '../../src/compare.ts'
import { openData } from '../../src/data/index.ts'
import { openModel } from '../../src/onnx/index.ts'
import { toPlain } from '../../src/runtime/tensors.ts'

const [, , mode, first = '', second = '', count = '1', length = '32'] = process.argv
const options = { synthetic: true, samples: Number(count), maxLength: Number(length) }

if (mode === 'plain') {
  const data = await openData(undefined, openModel(first), options)
  const sessions = []
  for (const path of [first, second])
    sessions.push(await InferenceSession.create(path, { intraOpNumThreads: 1, logSeverityLevel: 3 }))
  for await (const { feeds } of data.samples()) {
    const tensors = Object.entries(feeds).map(([name, tensor]) => {
      const { type, data, dims } = toPlain(name, tensor)
      return [name, new OrtTensor(type as 'float32', data as Float32Array, dims)] as const
    })
    for (const session of sessions) await session.run(Object.fromEntries(tensors))
  }
} else {
  const { layers, ok } = await compare(first, second, { ...options, layers: true, outliers: false })
  console.log(`${layers?.length} tensors, the worst ${layers?.[0]?.node}, ${ok}`)
}
