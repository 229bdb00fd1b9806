import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onnx } from 'onnx-proto'
import { InferenceSession, type Tensor } from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ConvertOptions } from '../src/index.ts'
import { convert, modelToBytes, openModel } from '../src/index.ts'
import { appendSink } from './support/oracle.ts'
import { pythonWith } from './support/python.ts'
import type { RealModel } from './support/real-models.ts'
import { realModels } from './support/real-models.ts'

type Outputs = Record<string, Tensor>

const python = pythonWith('onnx', 'sympy', 'onnxruntime.transformers.optimizer')
const models = realModels()
let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-real-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const targets: [string, ConvertOptions][] = [
  ['ort 1.20', {}],
  ['ort 1.30 on the CPU', { targetVersion: '1.30', provider: 'cpu' }],
  ['onnx', { target: 'onnx' }],
]

describe.each(models.map((model) => [model.name, model] as const))('%s', (_, model) => {
  const isLarge = model.sites > 6

  it('is converted at its attention and nowhere else, and computes what an independent rewrite does', async () => {
    for (const sink of isLarge ? [0] : [0, -2]) {
      const expected = await outputsOfOracle(model, sink)
      for (const [target, options] of isLarge ? targets.slice(0, 1) : targets) {
        const output = join(folder, 'converted.onnx')
        const { document } = await convert(model.path, { ...options, output, sink, verify: false, overwrite: true })
        const converted = document.sites.filter((site) => site.converted).map((site) => site.node)
        expect(converted.filter((name) => model.attention.test(name))).toHaveLength(model.sites)
        expect(document.counts).toMatchObject({ sites: model.softmaxes, converted: model.sites })
        expect(worst(await run(output, model), expected), `${target}, sink ${sink}`).toBeLessThanOrEqual(1)
      }
    }
  }, 600_000)

  it('has nothing left to convert after that, and is written back byte for byte before it', async () => {
    const output = join(folder, 'once.onnx')
    await convert(model.path, { output, verify: false, overwrite: true })
    const again = await convert(output, { dryRun: true })
    expect(again.document.counts).toMatchObject({ converted: 0, already: model.sites })
    expect(Buffer.compare(modelToBytes(openModel(model.path)), readFileSync(model.path))).toBe(0)
  }, 600_000)

  const operators = model.isFused ? ['com.microsoft::Attention', 'com.microsoft::MultiHeadAttention'] : ['Softmax']
  it.skipIf(python === undefined).each(operators)(
    'computes the same after ONNX Runtime’s offline optimizer, which makes %s of its attention',
    async (op) => {
      const optimized = join(folder, 'optimized.onnx')
      optimize(model, op.endsWith('MultiHeadAttention'), optimized)
      const output = join(folder, 'optimized.outeffhop.onnx')
      const { document } = await convert(optimized, { output, overwrite: true })
      expect(document.sites.filter((site) => site.converted).map((site) => site.op)).toEqual(
        Array(model.sites).fill(op),
      )
      expect(document.counts.sites).toBe(model.softmaxes)
      expect(document.verification).toMatchObject({ ran: true })
      expect(worst(await run(output, model), await outputsOfOracle(model, 0))).toBeLessThanOrEqual(1)
    },
    600_000,
  )
})

/** The outputs of the independent rewrite, which is told by name which softmaxes are attention. */
async function outputsOfOracle(model: RealModel, sink: number): Promise<Outputs> {
  const bytes = readFileSync(model.path)
  const nodes = onnx.ModelProto.decode(bytes).graph?.node ?? []
  const named = nodes.filter((node) => node.opType === 'Softmax' && model.attention.test(node.name ?? ''))
  expect(named).toHaveLength(model.sites)
  const path = join(folder, 'oracle.onnx')
  writeFileSync(path, appendSink(bytes, new Set(named.map((node) => node.output?.[0] ?? '')), sink))
  return run(path, model)
}

async function run(path: string, model: RealModel): Promise<Outputs> {
  const session = await InferenceSession.create(path, { logSeverityLevel: 3 })
  try {
    return (await session.run(model.feeds())) as Outputs
  } finally {
    await session.release()
  }
}

const optimizer = `
import sys
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions
source, target, heads, width, multi_head = sys.argv[1:]
options = FusionOptions('bert')
options.use_multi_head_attention = multi_head == 'true'
model = optimizer.optimize_model(source, 'bert', int(heads), int(width), optimization_options=options, opt_level=0)
model.save_model_to_file(target)
`

function optimize(model: RealModel, multiHead: boolean, target: string): void {
  const args = [model.path, target, model.heads, model.width, multiHead].map(String)
  const { status, stderr } = spawnSync(python ?? '', ['-c', optimizer, ...args], { encoding: 'utf8' })
  expect(status, stderr).toBe(0)
}

/** Largest difference of all outputs, in units of 1e-4 + 1e-4 |expected|. */
function worst(actual: Outputs, expected: Outputs): number {
  let largest = 0
  for (const name of Object.keys(expected)) {
    const [a, b] = [numbers(actual[name]), numbers(expected[name])]
    if (a.length !== b.length) return Number.POSITIVE_INFINITY
    for (const [i, y] of b.entries()) {
      const difference = Math.abs((a[i] as number) - y) / (1e-4 + 1e-4 * Math.abs(y))
      largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(largest, difference)
    }
  }
  return largest
}

function numbers(tensor: Tensor | undefined): number[] {
  return Array.from((tensor?.data ?? []) as ArrayLike<number | bigint>, Number)
}
