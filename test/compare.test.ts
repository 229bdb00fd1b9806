import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { main } from '../src/cli/main.ts'
import { classesOf } from '../src/compare/agreement.ts'
import { distanceOf } from '../src/compare/distances.js'
import { Resemblance } from '../src/compare/similarity.ts'
import { compare, convert, diff } from '../src/index.ts'
import type { Model } from '../src/ir/index.ts'
import { attr, dtypes, Tensor } from '../src/ir/index.ts'
import { openModel, parseModel, saveModel } from '../src/onnx/index.ts'
import { replaceConstant } from '../src/rewrite/index.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import { runtimeOrSkip } from './support/ort.ts'
import { random } from './support/random.ts'
import { recordedWorld } from './support/world.ts'

const canRun = installedRuntime() !== undefined
if (!canRun) console.log('skipped: comparing models in ONNX Runtime, which is not installed')

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-compare-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const exported = (name: string) => `fixtures/models/exports/${name}.onnx`

async function written(name: string, model: Model): Promise<string> {
  const path = join(folder, name)
  await saveModel(model, path, { overwrite: true })
  return path
}

/** Logits of four classes, and which of them is the best. */
function classifier(factor = 1, opset = 17): Model {
  const text = `<ir_version: 8, opset_import: ["" : ${opset}]>
    agraph (float[N, 3] x) => (float[N, 4] logits, float[N, 4] probs, int64[N] best) <float[3, 4] w = ..., float[4] b = ...> {
      [product] h = MatMul(x, w)
      [bias] logits = Add(h, b)
      [soft] probs = Softmax<axis = -1>(logits)
      [arg] best = ArgMax<axis = -1, keepdims = 0>(logits)
    }`
  const next = random(5)
  const fill = ({ name, dtype, dims }: { name: string; dtype: number; dims: readonly number[] }) => {
    const numbers = Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => (2 * next() - 1) * factor)
    return Tensor.of(dtype, dims, numbers, name)
  }
  return parseModel(text, { fill })
}

function lines(count = 5): string {
  const next = random(11)
  const path = join(folder, `samples-${count}.jsonl`)
  const row = () => JSON.stringify({ x: [[next(), next() - 1, 2 * next()]] })
  writeFileSync(path, Array.from({ length: count }, row).join('\n'))
  return path
}

async function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const world = recordedWorld()
  const code = await main(argv, world)
  return { code, out: world.out(), err: world.err() }
}

describe('measures', () => {
  it('are those of the definitions', () => {
    const next = random(3)
    const a = Array.from({ length: 100 }, () => next() - 0.5)
    const b = a.map((x) => x + 0.1 * (next() - 0.5))
    const resemblance = new Resemblance()
    resemblance.add(a, b)
    const { maxAbs, meanAbs, relative, cosine, sqnrDb } = resemblance.result(1)
    const sum = (f: (x: number, y: number) => number) => a.reduce((total, x, i) => total + f(x, b[i] as number), 0)
    expect(maxAbs).toBeCloseTo(Math.max(...a.map((x, i) => Math.abs(x - (b[i] as number)))), 12)
    expect(meanAbs).toBeCloseTo(sum((x, y) => Math.abs(x - y)) / 100, 12)
    expect(relative).toBeCloseTo(sum((x, y) => Math.abs(x - y)) / sum((x) => Math.abs(x)), 12)
    const product = sum((x, y) => x * y)
    expect(cosine.mean).toBeCloseTo(product / Math.sqrt(sum((x) => x * x) * sum((_, y) => y * y)), 12)
    expect(sqnrDb).toBeCloseTo(10 * Math.log10(sum((x) => x * x) / sum((x, y) => (x - y) ** 2)), 9)
  })

  it('take an element that only one model hides, or that is a number in one of them only, for as wrong as can be', () => {
    const hidden = -3.4e38
    expect(distanceOf([1, hidden], [1, -65504]).notFinite).toBe(0)
    expect(distanceOf([1, hidden], [1, -10000]).notFinite).toBe(0)
    expect(distanceOf([1, hidden], [1, 0.5]).notFinite).toBe(1)
    expect(distanceOf([1, 0.5], [1, hidden]).notFinite).toBe(1)
    expect(distanceOf([1, 2], [1, Number.NaN]).notFinite).toBe(1)
    expect(distanceOf([1, 7e4], [1, Number.POSITIVE_INFINITY]).notFinite).toBe(1)
    expect(distanceOf([3, 3, 0.5], [3, 3, hidden]).noise).toBeCloseTo(4 * 9)
    const { NaN: none, POSITIVE_INFINITY: infinite } = Number
    for (const [a, b] of [
      [none, 0],
      [infinite, 2],
      [infinite, -infinite],
      [infinite, none],
    ] as const) {
      expect(distanceOf([1, a], [1, b])).toMatchObject({ notFinite: 1, neither: 0 })
      expect(distanceOf([1, b], [1, a])).toMatchObject({ notFinite: 1, neither: 0, outside: 0 })
    }
    expect(distanceOf([1, infinite], [1, infinite])).toMatchObject({ notFinite: 0, neither: 0, count: 1 })
    expect(distanceOf([1, none], [1, none])).toMatchObject({ notFinite: 0, neither: 1, count: 1 })
    expect(distanceOf([1, none], [1, 2], { atol: 1, rtol: 0 }).outside).toBe(1)
  })

  it('count an element outside where neither of the two tolerances holds', () => {
    const a = [100, 1, 0.001]
    const b = [101, 1.02, 0.002]
    expect(distanceOf(a, b, { atol: 0.005, rtol: 0 }).outside).toBe(2)
    expect(distanceOf(a, b, { atol: 0.005, rtol: 0.015 }).outside).toBe(1)
    expect(distanceOf(a, b, { atol: 0, rtol: 0.015 }).outside).toBe(2)
  })

  it('know a distribution by its rows or its name', () => {
    expect(classesOf('y', [2, 2], [0.25, 0.75, 0.5, 0.5])).toBe(2)
    expect(classesOf('y', [1, 2], [Math.log(0.25), Math.log(0.75)])).toBe(2)
    expect(classesOf('start_logits', [1, 3], [4, -2, 0])).toBe(3)
    expect(classesOf('y', [1, 3], [4, -2, 0])).toBeUndefined()
  })
})

describe.runIf(canRun)('compare', () => {
  it('prints outputs, layers and the verdict as one JSON document', async () => {
    const [a, b] = [await written('a.onnx', classifier()), await written('b.onnx', classifier(1.01))]
    const { code, out } = await run(
      'compare',
      a,
      b,
      '--data',
      lines(),
      '--layers',
      '--bench',
      '--json',
      '--min-sqnr',
      '30',
    )
    const document = JSON.parse(out)
    expect(document).toMatchObject({ schema: 1, command: 'compare', samples: 5, precision: 'float32', ok: true })
    expect(document.outputs.map(({ name }: { name: string }) => name)).toEqual(['logits', 'probs', 'best'])
    const [logits] = document.outputs
    expect(logits.sqnrDb).toBeCloseTo(40, 1)
    expect(logits).toMatchObject({ top1: 1, topK: 1, k: 4, notFinite: 0, tolerance: { minSqnr: 30 } })
    expect(logits.cosine).toBeCloseTo(1, 9)
    expect(document.outputs[2].equal).toBe(1)
    expect(
      document.layers
        .map(({ node }: { node: string }) => node)
        .slice(0, 2)
        .sort(),
    ).toEqual(['bias', 'product'])
    expect(document.layers.at(-1)).toMatchObject({ node: 'arg', identical: true })
    expect(document.outliers.first.kurtosis).toBeGreaterThan(0)
    expect(document.latency.ratio).toBeGreaterThan(0)
    expect(code).toBe(0)
  })

  it('writes the page of a report, also where a tolerance is broken', async () => {
    const [a, b] = [await written('a.onnx', classifier()), await written('b.onnx', classifier(1.01))]
    const page = b.replace('b.onnx', 'page.html')
    const { code } = await run('compare', a, b, '--data', lines(), '--no-outliers', '--report', page)
    expect(code).toBe(1)
    expect(readFileSync(page, 'utf8')).toContain('below 50 dB')
  })

  it('exits 1 where a tolerance is broken, and says which', async () => {
    const [a, b] = [await written('a.onnx', classifier()), await written('b.onnx', classifier(1.01))]
    const byDefault = await run('compare', a, b, '--data', lines(), '--no-outliers')
    expect(byDefault.code).toBe(1)
    expect(byDefault.out).toContain('Asked for (float32)')
    expect(byDefault.out).toContain('"logits" has an SQNR of 40.0 dB, below 50 dB')
    const named = await run(
      'compare',
      a,
      b,
      '--data',
      lines(),
      '--no-outliers',
      '--json',
      '--atol',
      '0.1',
      '--atol',
      'logits:1e-4',
    )
    expect(named.code).toBe(1)
    expect(JSON.parse(named.out).broken).toMatchObject([{ output: 'logits', kind: 'atol' }])
    expect((await run('compare', a, b, '--data', lines(), '--atol', '0.1', '--min-cosine', 'logits:0.99')).code).toBe(0)
  })

  it('gives the same document twice', async () => {
    const [a, b] = [await written('a.onnx', classifier()), await written('b.onnx', classifier(1.01))]
    const once = () => compare(a, b, { synthetic: true, seed: 3, layers: true })
    expect(await once()).toEqual(await once())
  })

  it('refuses tolerances for outputs that are not there, models with other inputs, and numbers that are none', async () => {
    const a = await written('a.onnx', classifier())
    expect((await run('compare', a, a, '--data', lines(), '--atol', 'logit:1')).err).toContain('"logit"')
    expect((await run('compare', a, a, '--data', lines(), '--atol', 'logits:x')).code).toBe(2)
    expect((await run('compare', a, a, '--data', lines(), '--min-cosine', '0.9', '--samples', '2')).code).toBe(0)
    const other = await run('compare', a, exported('bert.eager.ts14'), '--data', lines())
    expect(other.err).toContain('"input_ids"')
    await expect(compare(a, exported('bert.eager.ts14'), { data: lines() })).rejects.toMatchObject({
      code: 'compare-inputs',
    })
    await expect(compare(a, a, { data: lines(), tolerances: { logit: { atol: 1 } } })).rejects.toMatchObject({
      code: 'compare-output-unknown',
    })
    expect(other.code).toBe(2)
    expect((await run('compare', a, a)).code).toBe(2)
  })

  it('does not pass an output that is no number in one of the models, whichever it is, nor one that is none in both', async () => {
    const text = (op: string) =>
      parseModel(`<ir_version: 8, opset_import: ["" : 17]> g (float[1,3] x) => (float[1,3] y) { y = ${op} (x) }`)
    const [root, size] = [await written('root.onnx', text('Sqrt')), await written('size.onnx', text('Abs'))]
    // One of the three numbers is negative.
    const compared = async (a: string, b: string) =>
      JSON.parse((await run('compare', a, b, '--data', lines(), '--no-outliers', '--json', '--min-cosine', '-1')).out)
    for (const [a, b] of [
      [root, size],
      [size, root],
    ] as const) {
      const { ok, outputs, broken } = await compared(a, b)
      expect([ok, outputs[0].identical]).toEqual([false, false])
      expect(broken).toEqual([
        { output: 'y', kind: 'finite', message: '"y" has 5 elements that are no number in one of the models only' },
      ])
    }
    expect(await compared(root, root)).toMatchObject({ ok: true, outputs: [{ identical: true }] })
    const none = await written('none.onnx', text('Log'))
    const path = join(folder, 'negative.jsonl')
    writeFileSync(path, '{"x":[[-1,-2,-3]]}\n')
    const { out, code } = await run('compare', none, none, '--data', path, '--no-outliers')
    expect([code, out]).toEqual([1, expect.stringContaining('"y" has no number in either model')])
    expect(out).not.toContain('identical')
  })

  it('does not pass a least share of best classes where no output is a distribution, and keeps what is usual beside one', async () => {
    const text = (op: string) =>
      parseModel(`<ir_version: 8, opset_import: ["" : 17]> g (float[1,3] x) => (float[1,3] y) { y = ${op} (x) }`)
    const [a, b] = [await written('abs.onnx', text('Abs')), await written('neg.onnx', text('Neg'))]
    const idle = await run('compare', a, a, '--data', lines(), '--no-outliers', '--min-top1', '0.99')
    expect([idle.code, idle.out]).toEqual([1, expect.stringContaining('"y" is no distribution over classes')])
    expect((await run('compare', a, b, '--data', lines(), '--no-outliers', '--min-top1', '0')).code).toBe(1)
    const both = (factor: string) =>
      parseModel(`<ir_version: 8, opset_import: ["" : 17]> g (float[1,3] x) => (float[1,3] probs, float[1,3] y)
        <float c = {${factor}}> { probs = Softmax <axis = -1> (x) y = Mul (x, c) }`)
    const [one, two] = [await written('one.onnx', both('1')), await written('two.onnx', both('2'))]
    const { out, code } = await run('compare', one, two, '--data', lines(), '--no-outliers', '--min-top1', '0.9')
    expect([code, out]).toEqual([1, expect.stringContaining('"y" has an SQNR of 0.0 dB, below 50 dB')])
    expect((await run('compare', one, one, '--data', lines(), '--no-outliers', '--min-top1', '0.9')).code).toBe(0)
  })

  it('says that an output is missing or has another shape', async () => {
    const a = await written('a.onnx', classifier())
    const less = classifier()
    less.graph.setOutputs(less.graph.outputs.slice(0, 1))
    const turned = classifier()
    const [node] = [...turned.graph.nodes()].filter(({ op }) => op === 'ArgMax')
    node?.setAttribute('keepdims', attr.int(1))
    turned.graph.outputs[2]!.type = { kind: 'tensor', dtype: dtypes.int64, shape: undefined }
    const missing = await compare(a, await written('less.onnx', less), { data: lines() })
    expect(missing).toMatchObject({ ok: false, broken: [{ output: 'probs', kind: 'missing' }, { output: 'best' }] })
    const shape = await compare(a, await written('turned.onnx', turned), { data: lines() })
    expect(shape).toMatchObject({ ok: false, broken: [{ output: 'best', kind: 'shape' }] })
  })

  it('raises no false alarm in twenty runs of what is the same', { timeout: 600_000 }, async () => {
    const ort = await runtimeOrSkip()
    const names = ['bert.eager.ts14', 'vit.sdpa.dynamo18', 'llama.sdpa.dynamo18', 'bert_classifier_probs.sdpa.ts17']
    const alarms: string[] = []
    let runs = 0
    for (const name of names) {
      const path = exported(name)
      const [saved, converted, optimized] = ['saved', 'converted', 'optimized'].map((what) =>
        join(folder, `${name}.${what}.onnx`),
      )
      await saveModel(openModel(path), saved as string, { externalData: 'always' })
      await convert(path, { output: converted, dataOptions: { synthetic: true, samples: 8 }, verify: false })
      const options = {
        optimizedModelFilePath: optimized,
        graphOptimizationLevel: 'basic',
        logSeverityLevel: 3,
      } as const
      await (await ort?.InferenceSession.create(path as string, options as object))?.release()
      const variants = [path, saved, converted, optimized, saved]
      for (const [seed, variant] of variants.entries()) {
        const { ok, broken } = await compare(path, variant as string, {
          synthetic: true,
          seed,
          samples: 4,
          outliers: false,
        })
        runs++
        if (!ok) alarms.push(`${variant}: ${broken.map(({ message }) => message)}`)
      }
    }
    expect(alarms).toEqual([])
    expect(runs).toBe(20)
  })
})

describe('diff', () => {
  it('finds nothing between a model and what it was saved as', async () => {
    const saved = join(folder, 'saved.onnx')
    await saveModel(openModel(exported('bert.eager.ts14')), saved, { externalData: 'always' })
    const { code, out } = await run('diff', exported('bert.eager.ts14'), saved, '--exit-code')
    expect(out).toContain('the same')
    expect(code).toBe(0)
  })

  it('names what was changed at each node, and nothing else', async () => {
    const changed = classifier(1, 18)
    const [product, , soft] = [...changed.graph.nodes()]
    const weight = product?.input(1)?.initializer as Tensor
    const numbers = weight.toNumbers().map((x, i) => (i === 7 ? 2 * x : x))
    replaceConstant(product as NonNullable<typeof product>, 1, Tensor.of(dtypes.float, weight.dims, numbers))
    soft?.setAttribute('axis', attr.int(0))
    const [a, b] = [await written('a.onnx', classifier()), await written('changed.onnx', changed)]
    const document = await diff(a, b)
    expect(document.header).toEqual(['opset ai.onnx 17, then 18'])
    expect(document.nodes).toMatchObject([
      { node: 'product', change: 'changed', details: [{ what: 'constant', name: 'input 1 "w"' }] },
      { node: 'soft', change: 'changed', details: [{ what: 'attribute', name: 'axis', before: '-1', after: '0' }] },
    ])
    expect(document.nodes[0]?.details[0]?.relative).toBeGreaterThan(0)
    expect((await run('diff', a, b, '--exit-code')).code).toBe(1)
    expect((await run('diff', a, b)).out).toContain('2 changed, 0 added, 0 removed.')
  })

  it('knows nodes by their structure where all names are others', async () => {
    const renamed = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
      agraph (float[N, 3] x) => (float[N, 3] y) { [one] p = Relu(x) [two] q = Neg(p) [three] y = Exp(q) }`)
    const other = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
      agraph (float[N, 3] x) => (float[N, 3] y) { [eins] a = Relu(x) [zwei] b = Neg(a) [neu] c = Abs(b) [drei] y = Exp(c) }`)
    const document = await diff(await written('r.onnx', renamed), await written('o.onnx', other))
    expect(document.nodes).toMatchObject([
      { node: 'neu', change: 'added' },
      { node: 'drei', change: 'changed', details: [{ what: 'input', before: 'q', after: 'c' }] },
    ])
  })

  it('looks into nested graphs and functions', async () => {
    const text = (then: string, body: string) => `<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
      agraph (bool c, float[N] x) => (float[N] y) {
        [branch] h = If(c) <then_branch = t () => (float[N] u) { [inner] u = ${then}(x) },
                            else_branch = e () => (float[N] v) { v = Neg(x) }>
        y = own.twice(h)
      }
      <domain: "own", opset_import: ["" : 17]> twice (a) => (b) { [made] b = ${body}(a, a) }`
    const [a, b] = [parseModel(text('Exp', 'Add')), parseModel(text('Abs', 'Mul'))]
    const document = await diff(await written('n.onnx', a), await written('m.onnx', b))
    expect(document.nodes).toMatchObject([
      { graph: 'branch/then_branch', node: 'inner', details: [{ what: 'operator', before: 'Exp', after: 'Abs' }] },
      { graph: 'function:own.twice', node: 'made', details: [{ what: 'operator', before: 'Add', after: 'Mul' }] },
    ])
  })
})
