import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { passes } from '../passes/index.ts'
import type { Site } from '../src/attention/index.ts'
import { findSites } from '../src/attention/index.ts'
import { convert } from '../src/convert.ts'
import type { Model } from '../src/ir/index.ts'
import { dtypes, Tensor } from '../src/ir/index.ts'
import { modelToBytes, openModel, parseModel } from '../src/onnx/index.ts'
import { targetOf } from '../src/options.ts'
import { Ops, opsetOf, Report, runPipeline } from '../src/rewrite/index.ts'
import { installedRuntime, openSession } from '../src/runtime/index.ts'
import { random } from '../src/runtime/random.ts'
import { largestDifference } from './support/compare-outputs.ts'
import { inputsOfExport, labelledExports } from './support/exports.ts'

const canRun = installedRuntime() !== undefined
if (!canRun) console.log('skipped: scale folds in ONNX Runtime, which is not installed')

const fold = passes.filter(({ name }) => name === 'fold-head-scale')
/** Another number for every head; one for all where heads are merged with the batch. */
const factorsOf = ({ heads }: Site) =>
  heads && Array.from({ length: heads.merged ? 1 : heads.count }, (_, head) => 1 + (head + 1) / 8)

const seen = { folded: 0, left: 0 }

describe.skipIf(!canRun)('a scale folded into a projection', () => {
  it.each(labelledExports())('is what one factor on the probabilities is, in %s', async (_, path) => {
    const [model, byHand] = [openModel(path), openModel(path)]
    const report = new Report()
    runPipeline(model, fold, { target: targetOf({}), headScale: factorsOf, report })
    const left = new Set(report.warnings.flatMap(({ at }) => at?.node ?? []))
    let here = 0
    for (const site of findSites(byHand)) {
      if (site.verdict.kind !== 'attention' || left.has(site.node.label)) continue
      scaleProbabilities(site)
      here++
    }
    seen.folded += here
    seen.left += left.size
    if (here === 0) return expect(model.metadata.has('outeffhop.scaled-heads')).toBe(false)
    const feeds = inputsOfExport(path)
    const [expected, actual] = [await run(byHand, feeds), await run(model, feeds)]
    expect(largestDifference(expected, actual)).toBeLessThanOrEqual(2e-4)
    // The factors are no ones: the outputs are others than before.
    expect(largestDifference(await run(openModel(path), feeds), actual)).toBeGreaterThan(1e-4)
  })

  it('reaches most attention of the exports', () => {
    expect(seen.folded).toBeGreaterThan(10)
    expect(seen.folded).toBeGreaterThan(seen.left)
  })
})

/** `p * c` with one c for each head. */
function scaleProbabilities(site: Site): void {
  const { output, heads, graph } = site
  const [producer, factors] = [output.producer, factorsOf(site)]
  if (!heads || !producer || !factors) throw new Error('heads are known where they were scaled')
  const ops = new Ops({ graph, before: producer.next, name: `${output.name}/by-hand`, opset: opsetOf(graph) })
  const dims = factors.length === 1 ? [] : [heads.count, ...Array.from({ length: -heads.axis - 1 }, () => 1)]
  const scaled = ops.Mul(output, ops.constant(Tensor.of(dtypes.float, dims, factors)))
  // Some models give the probabilities out too, or their mean over heads: those stay.
  const product = site.values[0]
  if (product?.node.input(product.otherInput) === output) product.node.setInput(product.otherInput, scaled)
  else output.replaceUsesWith(scaled, { keepOutputs: true, ...(scaled.producer && { except: scaled.producer }) })
}

async function run(model: Model, feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
  const session = await openSession(modelToBytes(model), { threads: 1 })
  try {
    return await session.run(feeds)
  } finally {
    await session.close()
  }
}

const text = `<ir_version: 8, opset_import: ["" : 17]>
g (float[1,2,6,4] q, float[1,2,4,5] k, float[1,2,5,3] v) => (float[1,6,4] y)
<float[1,2,1,1] bias = {3, 0}, int64[3] join = {0,0,6}, float[6,4] wo = {${Array.from({ length: 24 }, (_, i) => i - 11)}}> {
   s = MatMul (q, k)
   t = Add (s, bias)
   ["/Softmax"] p = Softmax <axis = -1> (t)
   c = MatMul (p, v)
   ct = Transpose <perm: ints = [0, 2, 1, 3]> (c)
   cj = Reshape (ct, join)
   y = MatMul (cj, wo)
}`

const next = random(11)
const numbers = (...dims: number[]): unknown =>
  dims.length === 0 ? next() - 0.5 : Array.from({ length: dims[0] as number }, () => numbers(...dims.slice(1)))
const samples = Array.from({ length: 6 }, () => ({
  q: [numbers(2, 6, 4)],
  k: [numbers(2, 4, 5)],
  v: [numbers(2, 5, 3)],
}))

let folder = ''
let model = ''
let data = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-fold-'))
  model = join(folder, 'model.onnx')
  data = join(folder, 'samples.jsonl')
  writeFileSync(model, modelToBytes(parseModel(text)))
  writeFileSync(data, samples.map((sample) => JSON.stringify(sample)).join('\n'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The mean of `sigmoid(L)` over the rows of a head, in float64. */
function meanGate(head: number): number {
  const gates = (samples as { q: number[][][][]; k: number[][][][] }[]).flatMap(({ q, k }) => {
    const [rows, columns] = [q[0]?.[head] ?? [], k[0]?.[head] ?? []]
    return rows.map((row) => {
      const scores = (columns[0] ?? []).map((_, j) =>
        row.reduce((sum, x, d) => sum + x * (columns[d]?.[j] ?? 0), head === 0 ? 3 : 0),
      )
      const total = scores.reduce((sum, score) => sum + Math.exp(score), 0)
      return total / (1 + total)
    })
  })
  return gates.reduce((sum, x) => sum + x, 0) / gates.length
}

describe.skipIf(!canRun)('--fold-scale', () => {
  const options = () => ({ data, sink: 'zero', acceptDrift: true, overwrite: true }) as const
  const output = () => join(folder, 'out.onnx')

  it('multiplies the rows of each head by 1/E[g], and the outputs come nearer', async () => {
    const plain = (await convert(model, { ...options(), output: output() })).document
    const folded = (await convert(model, { ...options(), output: output(), foldScale: true })).document
    const wo = openModel(output()).graph.values.get('wo')?.initializer?.toNumbers() ?? []
    for (const [i, w] of wo.entries()) {
      const head = i < 12 ? 0 : 1
      // Rows are counted in bins of 1/64.
      expect(w).toBeCloseTo((i - 11) / meanGate(head), 2)
    }
    const noise = (document: typeof plain) => document.change?.measured?.outputs[0]?.meanAbs ?? Number.NaN
    expect(noise(folded)).toBeLessThan(noise(plain) / 2)
    expect(folded.sites[0]?.notes.join()).toMatch(
      /heads are multiplied by 1\.\d+ to 1\.\d+ in the rows of the weight of/,
    )
    expect(folded.warnings.map(({ code }) => code)).not.toContain('scale-not-folded')
  })

  it('says where no projection is in reach', async () => {
    const alone = join(folder, 'alone.onnx')
    const short = text.replace('=> (float[1,6,4] y)', '=> (float[1,6,6] cj)').replace('y = MatMul (cj, wo)', '')
    writeFileSync(alone, modelToBytes(parseModel(short.replace(/, float\[6,4\] wo = \{[^}]*\}/, ''))))
    const { document } = await convert(alone, { ...options(), output: output(), foldScale: true })
    const warnings = document.warnings.filter(({ code }) => code === 'scale-not-folded')
    expect(warnings).toHaveLength(1)
    expect(warnings[0]?.message).toContain('/Softmax')
  })

  it.each([
    [{ sink: 'calibrated' }, '--sinks zero'],
    [{ data: undefined }, '--data'],
  ] as const)('is refused where it means nothing: %j', async (more, words) => {
    const error = await convert(model, { ...options(), ...more, output: output(), foldScale: true }).catch((e) => e)
    expect(error).toMatchObject({ code: 'usage', hint: expect.stringContaining(words) })
  })

  const real = join(process.env.OUTEFFHOP_MODELS ?? '', 'minilm_l6')
  const isThere = process.env.OUTEFFHOP_MODELS !== undefined && existsSync(join(real, 'model.onnx'))
  if (!isThere) console.log('skipped: the scale fold of a real model, because OUTEFFHOP_MODELS has no minilm_l6')
  it.skipIf(!isThere)(
    'brings a real encoder nearer to what it was',
    async () => {
      const texts = join(folder, 'texts.txt')
      const lines = [
        'The quick brown fox jumps over the lazy dog.',
        'A compiler reads a program and writes another one that does the same.',
        'Short.',
        'Interest rates rose again this quarter.',
      ]
      writeFileSync(texts, `${lines.join('\n')}\n`)
      const settings = {
        ...options(),
        data: texts,
        dataOptions: { tokenizer: join(real, 'tokenizer.json') },
        output: output(),
      }
      const noise = async (foldScale: boolean) => {
        const { document } = await convert(join(real, 'model.onnx'), { ...settings, foldScale, verify: true })
        expect(document.warnings.map(({ code }) => code)).not.toContain('scale-not-folded')
        return 1 - (document.change?.measured?.outputs[0]?.cosine.mean ?? Number.NaN)
      }
      const [plain, folded] = [await noise(false), await noise(true)]
      expect(folded).toBeLessThan(0.8 * plain)
    },
    300_000,
  )
})
