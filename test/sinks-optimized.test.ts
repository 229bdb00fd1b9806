import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { closeModel, convert, openData, openModel } from '../src/index.ts'
import { pythonWith, runPython } from './support/python.ts'
import { realModels } from './support/real-models.ts'

const python = pythonWith('numpy', 'onnx', 'sympy', 'onnxruntime.transformers.optimizer')
const models = realModels().filter(({ isFused }) => isFused)
const texts = [
  'A cat sits on the mat.',
  'Short.',
  'The runtime reads the body of a function in the opset of the model, whatever the function says.',
  'Rows of attention are counted in bins, never wider, so that tables of parts add up to the same in any order.',
  'Is it raining in the mountains today, or only in the valley?',
  'One more logit in the denominator lets a head say nothing at all.',
]

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-optimized-'))
  writeFileSync(join(folder, 'texts.jsonl'), texts.map((text) => JSON.stringify({ text })).join('\n'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(python === undefined).each(models)('calibrated sinks of $name', ({ path, sites, heads, width }) => {
  const data = () => join(folder, 'texts.jsonl')
  const dataOptions = { tokenizer: join(dirname(path), 'tokenizer.json'), maxLength: 64 }
  const sinksOf = async (model: string) => {
    const { document } = await convert(model, {
      data: data(),
      dataOptions,
      output: join(folder, 'out.onnx'),
      overwrite: true,
    })
    expect(document.change?.measured?.samples).toBe(texts.length)
    for (const { cosine } of document.change?.measured?.outputs ?? []) expect(1 - cosine.worst).toBeLessThan(5e-5)
    return document.sites.filter(({ converted }) => converted)
  }

  it('are the quantiles that numpy finds in the scores, and change what they are said to', async () => {
    const model = openModel(path)
    const source = await openData(data(), model, dataOptions)
    const feeds: Record<string, unknown>[] = []
    for await (const sample of source.samples())
      feeds.push(
        Object.fromEntries(
          Object.entries(sample.feeds).map(([name, tensor]) => [name, { dims: tensor.dims, data: tensor.toNumbers() }]),
        ),
      )
    closeModel(model)
    const found = await sinksOf(path)
    const sinks = found.map(({ sink }) => sink as number[])
    const seen = runPython(python as string, oracle, { path, feeds, sinks }) as {
      low: [number, number][]
      gate: number[]
    }[]
    expect(seen).toHaveLength(sites)
    for (const [i, { low, gate }] of seen.entries())
      for (const [head, [least, next]] of low.entries()) {
        const quantile = (sinks[i]?.[head] as number) + Math.log(99)
        expect(quantile).toBeGreaterThan(least - 1 / 64 - 1e-4)
        expect(quantile).toBeLessThan(next + 1 / 64 + 1e-4)
        expect(Math.abs((found[i]?.change?.heads[head] as number) - (gate[head] as number))).toBeLessThan(2e-4)
      }
  }, 600_000)

  it.each(['Attention', 'MultiHeadAttention'])(
    'are the same where ONNX Runtime’s optimizer made %s of it',
    async (op) => {
      const optimized = join(folder, 'optimized.onnx')
      const args = [path, optimized, heads, width, op === 'MultiHeadAttention'].map(String)
      const { status, stderr } = spawnSync(python ?? '', ['-c', optimizer, ...args], { encoding: 'utf8' })
      expect(status, stderr).toBe(0)
      const [plain, fused] = [await sinksOf(path), await sinksOf(optimized)]
      expect(fused.map(({ op }) => op)).toEqual(Array(sites).fill(`com.microsoft::${op}`))
      const [before, after] = [plain, fused].map((all) => all.flatMap(({ sink }) => sink as number[])) as [
        number[],
        number[],
      ]
      expect(before).toHaveLength(sites * heads)
      const distances = after.map((sink, i) => Math.abs(sink - (before[i] as number)))
      expect(distances).toHaveLength(sites * heads)
      expect(Math.max(...distances)).toBeLessThan(1e-4)
    },
    600_000,
  )
})

const optimizer = `
import sys
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions
source, target, heads, width, multi_head = sys.argv[1:]
options = FusionOptions('bert')
options.use_multi_head_attention = multi_head == 'true'
# What it fuses around the embeddings takes other types than the data has.
options.enable_embed_layer_norm = False
model = optimizer.optimize_model(source, 'bert', int(heads), int(width), optimization_options=options, opt_level=0)
model.save_model_to_file(target)
`

/** Runs the model without any optimization and takes L of the scores in front of every softmax in double precision. */
const oracle = `
import json, sys, numpy, onnx, onnxruntime
given = json.load(sys.stdin)
model = onnx.load(given['path'])
scores = [node.input[0] for node in model.graph.node if node.op_type == 'Softmax']
for name in scores: model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])
rows = [[] for _ in scores]
for feed in given['feeds']:
    inputs = {name: numpy.array(x['data'], dtype=numpy.int64).reshape(x['dims']) for name, x in feed.items()}
    for i, x in enumerate(session.run(scores, inputs)):
        x = x.astype(numpy.float64)
        m = x.max(-1, keepdims=True)
        l = (m + numpy.log(numpy.exp(x - m).sum(-1, keepdims=True)))[..., 0]
        rows[i].append(l.transpose(1, 0, 2).reshape(l.shape[1], -1))
out = []
for site, sinks in zip(rows, given['sinks']):
    l = numpy.concatenate(site, 1)
    ordered = numpy.sort(l, 1)
    at = int(0.001 * l.shape[1])
    gate = 1 / (1 + numpy.exp(numpy.array(sinks)[:, None] - l))
    out.append({'low': [[float(r[at]), float(r[at + 1])] for r in ordered], 'gate': gate.mean(1).tolist()})
json.dump(out, sys.stdout)
`
