/**
 * One process of the benchmark `calibrate.ts`: runs MODEL on COUNT generated samples, all in one thread of the runtime.
 *
 * `plain` only runs it, in this process and without any code of ours in between; `min-max` and `histograms` calibrate.
 */
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node'
import { collect } from '../../src/calibrate/index.ts'
import type { DataSource } from '../../src/data/index.ts'
import type { Model } from '../../src/ir/index.ts'
import { dtypes, Tensor } from '../../src/ir/index.ts'
import { openModel } from '../../src/onnx/index.ts'
import type { Feeds } from '../../src/runtime/index.ts'
import { toPlain } from '../../src/runtime/tensors.ts'
import { random } from '../support/random.ts'

const [, , mode, path = '', count = '1', length = '128'] = process.argv
const samples = Number(count)
const model = openModel(path)

/** One row: seeded floats, ids below 1,000, masks of ones. The first axis is 1 where it is open, all others LENGTH. */
function feedsOf({ graph }: Model, index: number): Feeds {
  const next = random(index + 1)
  const inputs = graph.inputs.filter((value) => value.initializer === undefined)
  return Object.fromEntries(
    inputs.map(({ name, shape = [], dtype = dtypes.float }) => {
      const dims = shape.map((dim, axis) =>
        typeof dim === 'number' && dim > 0 ? dim : axis === 0 ? 1 : Number(length),
      )
      const element = (): number => {
        if (name.includes('mask')) return 1
        return dtype === dtypes.float ? 2 * next() - 1 : name.includes('type') ? 0 : Math.floor(1000 * next())
      }
      const elements = Array.from({ length: dims.reduce((a, b) => a * b, 1) }, element)
      return [name, Tensor.of(dtype, dims, elements)]
    }),
  )
}

const data: DataSource = {
  manifest: {
    kind: 'synthetic',
    files: [],
    count: samples,
    selection: { samples, seed: 0, shard: null },
    preparation: {},
    synthetic: true,
    hash: '',
  },
  files: [],
  notes: [],
  size: samples,
  skipped: [],
  async *samples() {
    for (let index = 0; index < samples; index++) yield { id: `${index}`, index, feeds: feedsOf(model, index) }
  },
}

if (mode === 'plain') {
  const session = await InferenceSession.create(path, { intraOpNumThreads: 1, logSeverityLevel: 3 })
  for (let index = 0; index < samples; index++) {
    const feeds = Object.entries(feedsOf(model, index)).map(([name, tensor]) => {
      const { type, data, dims } = toPlain(name, tensor)
      return [name, new OrtTensor(type as 'float32', data as Float32Array, dims)] as const
    })
    await session.run(Object.fromEntries(feeds))
  }
} else await collect(model, data, { histograms: mode === 'histograms', session: { threads: 1 } })
