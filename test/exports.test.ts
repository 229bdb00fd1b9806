import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { describe, expect, test } from 'vitest'
import { passes } from '../passes/index.ts'
import { findSites } from '../src/attention/index.ts'
import { modelToBytes, openModel } from '../src/onnx/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import type { TargetChoice } from '../src/targets/index.ts'
import { targets } from '../src/targets/index.ts'
import { readNpz } from './support/npz.ts'
import { appendSink } from './support/oracle.ts'

const folders = ['fixtures/models/exports', process.env.OUTEFFHOP_ZOO ?? '../shared/zoo']
const choices: TargetChoice[] = [
  { target: targets.get('ort')!, version: '1.20', provider: 'any' },
  { target: targets.get('ort')!, version: '1.30', provider: 'cpu' },
  { target: targets.get('tensorrt')!, version: '10.15', provider: 'any' },
  { target: targets.get('onnx')!, version: undefined, provider: 'any' },
]

interface Export {
  file: string
  npz: string
  sites_expected: number
}

for (const folder of folders) {
  if (!existsSync(join(folder, 'manifest.json'))) {
    test.skip(`exports in ${folder}: the folder is not there`, () => {})
    continue
  }
  describe(`exports in ${folder}`, () => {
    const manifest: Export[] = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'))
    for (const entry of manifest) {
      test(`${entry.file} computes Softmax1 attention after conversion`, async () => {
        const arrays = readNpz(join(folder, entry.npz))
        const feeds: Record<string, Tensor> = {}
        for (const [name, { type, data, dims }] of arrays)
          if (name.startsWith('in.')) feeds[name.slice(3)] = new Tensor(type, data as Float32Array, dims)
        for (const choice of choices) {
          const model = openModel(join(folder, entry.file))
          const { report } = runPipeline(model, passes, { target: choice })
          const converted = [...report.sites.values()].filter((site) => site.converted)
          expect(converted.length).toBe(entry.sites_expected)
          const bytes = modelToBytes(model)
          const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 })
          const outputs = await session.run(feeds)
          for (const [name, expected] of arrays) {
            if (!name.startsWith('s1.')) continue
            expect(
              worst(outputs[name.slice(3)]!.data as Float32Array, expected.data as Float32Array),
              name,
            ).toBeLessThanOrEqual(1)
          }
          await session.release()
          await expectSameWithSink(join(folder, entry.file), choice, feeds)
          expectSameAgain(bytes, choice)
          if (process.env.VERBOSE)
            console.log(
              entry.file,
              choice.version,
              converted.map((c) => `${c.form} ${c.form === 'primitives' ? c.formReason : ''}`),
            )
        }
      })
    }
  })
}

/** Converting what was converted finds nothing to do and gives the same bytes. */
function expectSameAgain(bytes: Uint8Array, target: TargetChoice): void {
  const again = openModel(bytes)
  const { report, runs } = runPipeline(again, passes, { target })
  expect(runs.filter((run) => run.changed > 0)).toEqual([])
  expect([...report.sites.values()].filter((site) => ['attention', 'fused'].includes(site.verdict))).toEqual([])
  expect(Buffer.compare(modelToBytes(again), bytes)).toBe(0)
}

/** The same with every sink at -2, against a rewrite that shares no code with ours. */
async function expectSameWithSink(path: string, choice: TargetChoice, feeds: Record<string, Tensor>): Promise<void> {
  const sites = findSites(openModel(path)).filter(
    ({ verdict }) => verdict.kind === 'attention' || verdict.kind === 'fused',
  )
  if (sites.length === 0) return
  const model = openModel(path)
  runPipeline(model, passes, { target: choice, sink: -2 })
  const [ours, theirs] = await Promise.all(
    [modelToBytes(model), appendSink(readFileSync(path), new Set(sites.map((site) => site.output.name)), -2)].map(
      async (bytes) => {
        const session = await InferenceSession.create(bytes, { logSeverityLevel: 3 })
        const outputs = await session.run(feeds)
        await session.release()
        return outputs
      },
    ),
  )
  for (const [name, expected] of Object.entries(theirs!))
    expect(
      worst(ours![name]!.data as Float32Array, expected.data as Float32Array),
      `${name} with sink -2`,
    ).toBeLessThanOrEqual(1)
}

/** Largest difference in units of 1e-4 + 1e-4 |expected|. */
function worst(actual: Float32Array, expected: Float32Array): number {
  let worst = actual.length === expected.length ? 0 : Number.POSITIVE_INFINITY
  for (let i = 0; i < expected.length; i++) {
    const difference =
      Math.abs((actual[i] as number) - (expected[i] as number)) / (1e-4 + 1e-4 * Math.abs(expected[i] as number))
    if (!(difference <= worst)) worst = difference
  }
  return worst
}
