import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { calibrate } from '../src/calibrate.ts'
import { main } from '../src/cli/main.ts'
import { ConversionRefused, convert, modelToBytes, parseModel } from '../src/index.ts'
import { random } from '../src/runtime/random.ts'
import { recordedWorld } from './support/world.ts'

/** Two heads: scores are the input plus 4 in the first head and minus 4 in the second, so L is known. */
const text = `<ir_version: 8, opset_import: ["" : 17]>
g (float[1,2,6,4] q, float[1,2,4,5] k, float[1,2,5,3] v) => (float[1,2,6,3] y)
<float[1,2,1,1] bias = {4, -4}> {
   s = MatMul (q, k)
   t = Add (s, bias)
   ["/Softmax"] p = Softmax <axis = -1> (t)
   y = MatMul (p, v)
}`

const next = random(11)
const numbers = (...dims: number[]): unknown =>
  dims.length === 0 ? next() - 0.5 : Array.from({ length: dims[0] as number }, () => numbers(...dims.slice(1)))
const samples = Array.from({ length: 6 }, () => ({
  q: numbers(2, 6, 4),
  k: numbers(2, 4, 5),
  v: numbers(2, 5, 3),
})).map(({ q, k, v }) => ({ q: [q], k: [k], v: [v] }) as Record<string, number[][][][]>)

/** `L = ln Σ exp(score)` of every row of a head, over all samples, in float64. */
function logsumexps(head: number): number[] {
  return samples.flatMap(({ q, k }) => {
    const [rows, columns] = [q?.[0]?.[head] as number[][], k?.[0]?.[head] as number[][]]
    return rows.map((row) => {
      const scores = (columns[0] as number[]).map((_, j) =>
        row.reduce((sum, x, d) => sum + x * ((columns[d] as number[])[j] as number), head === 0 ? 4 : -4),
      )
      return Math.log(scores.reduce((sum, score) => sum + Math.exp(score), 0))
    })
  })
}

const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length
const gate = (sink: number) => (l: number) => 1 / (1 + Math.exp(sink - l))

let folder = ''
let model = ''
let data = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-sinks-'))
  model = join(folder, 'model.onnx')
  data = join(folder, 'samples.jsonl')
  writeFileSync(model, modelToBytes(parseModel(text)))
  writeFileSync(data, samples.map((sample) => JSON.stringify(sample)).join('\n'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('calibrated sinks', () => {
  it('are the default with data, keep every row within the change asked for, and say what they change', async () => {
    const { document } = await convert(model, { data, output: join(folder, 'calibrated.onnx') })
    const [site] = document.sites
    expect(document.sink).toBe('calibrated')
    const sinks = site?.sink as number[]
    for (const head of [0, 1]) {
      const rows = logsumexps(head)
      const lost = rows.map(gate(sinks[head] as number)).map((g) => 1 - g)
      // Bins of 1/64 put a sink off by no more than that.
      expect(Math.max(...lost)).toBeLessThan(0.01 * 1.02)
      expect(Math.max(...lost)).toBeGreaterThan(0.01 * 0.95)
      expect(site?.change?.heads[head]).toBeCloseTo(mean(rows.map(gate(sinks[head] as number))), 3)
    }
    const measured = document.change?.measured
    expect(measured?.samples).toBe(6)
    expect(measured?.outputs[0]).toMatchObject({ name: 'y', notFinite: 0 })
    expect(1 - (measured?.outputs[0]?.cosine.worst ?? 0)).toBeLessThan(1e-4)
    expect(measured?.outputs[0]?.maxAbs).toBeGreaterThan(0)
  })

  it('allow more change where more is asked for', async () => {
    const { document } = await convert(model, { data, dryRun: true, maxChange: 0.2, acceptDrift: true })
    const sinks = document.sites[0]?.sink as number[]
    const lost = logsumexps(1).map((l) => 1 - gate(sinks[1] as number)(l))
    expect(Math.max(...lost)).toBeGreaterThan(0.18)
    expect(Math.max(...lost)).toBeLessThan(0.21)
  })

  it('come out of a table as they do out of the data', async () => {
    const table = join(folder, 'table.json')
    await calibrate(model, { data, output: table })
    const [byTable, byData] = await Promise.all([
      convert(model, { calibration: table, dryRun: true }),
      convert(model, { data, dryRun: true }),
    ])
    expect(byTable.document.sites[0]?.sink).toEqual(byData.document.sites[0]?.sink)
    expect(byTable.document.change?.measured).toBeNull()
  })

  it('are refused without anything to calibrate by, and for sites that were not observed', async () => {
    await expect(convert(model, { sink: 'calibrated' })).rejects.toMatchObject({ code: 'sink-without-calibration' })
    const branch = text
      .replace(
        'y = MatMul (p, v)\n}',
        'y = If <then_branch = b () => (a) { a = MatMul (p, v) }, else_branch = c () => (d) { e = MatMul (q, k) ["/inner"] f = Softmax <axis = -1> (e) d = MatMul (f, v) }> (c0)\n}',
      )
      .replace('(float[1,2,6,4] q', '(bool c0, float[1,2,6,4] q')
    const nested = join(folder, 'nested.onnx')
    writeFileSync(nested, modelToBytes(parseModel(branch)))
    const flagged = join(folder, 'flagged.jsonl')
    writeFileSync(flagged, samples.map((sample) => JSON.stringify({ c0: true, ...sample })).join('\n'))
    await expect(convert(nested, { data: flagged, dryRun: true })).rejects.toMatchObject({
      code: 'sink-unobserved',
      message: expect.stringContaining('"/inner"'),
    })
  })
})

describe('a sink of zero', () => {
  it('is refused where data shows a head that fades, and names it; nothing is written', async () => {
    const output = join(folder, 'zero.onnx')
    const error = await convert(model, { data, sink: 'zero', output }).catch((thrown) => thrown)
    expect(error).toBeInstanceOf(ConversionRefused)
    expect(error).toMatchObject({ code: 'sink-drift', exitCode: 1 })
    expect(error.message).toMatch(/1 head keeps less than 0.97 .*\n {2}"\/Softmax": head 1 0\.\d{3}$/)
    expect(readdirSync(folder)).not.toContain('zero.onnx')
  })

  it('is given where the drift is accepted, and what it changes is measured', async () => {
    const { document } = await convert(model, { data, sink: 'zero', acceptDrift: true, output: join(folder, 'z.onnx') })
    expect(document.sink).toBe('zero')
    expect(document.sites[0]?.sink).toBe(0)
    expect(document.change?.predicted.worst).toMatchObject({ node: '/Softmax', head: 1 })
    expect(document.change?.predicted.worst.gate).toBeCloseTo(mean(logsumexps(1).map(gate(0))), 3)
    expect(document.change?.measured?.outputs[0]?.maxAbs).toBeGreaterThan(0.01)
  })

  it('is not verified without data', async () => {
    const { document } = await convert(model, { dryRun: true })
    expect(document.sink).toBe('zero, not verified')
    expect(document.change ?? null).toBeNull()
  })
})

describe('the command line', () => {
  const run = async (...args: string[]) => {
    const world = recordedWorld()
    const exit = await main([...args, '--no-color'], world)
    return { exit, out: world.out(), err: world.err() }
  }

  it('says in words what the sinks change', async () => {
    const { exit, out } = await run(model, '-o', join(folder, 'said.onnx'), '--data', data)
    expect(exit).toBe(0)
    expect(out).toMatch(/sink: calibrated\nAttention keeps 9\d\.\d+ % .* by 6 samples; least "\/Softmax" head \d/)
    expect(out).toMatch(/"y" on 6 samples: 1 - cosine \S+, at worst/)
  })

  it.each([
    [['--sinks', 'none'], '--sinks "none" is neither calibrated nor zero nor a number'],
    [['--max-change', 'much'], '--max-change "much" is not a share'],
    [['--max-change', '150%'], 'has to be between 0 and 1'],
    [['--samples', '3'], '--samples is about data, and there is none'],
  ])('%j is a usage error', async (flags, words) => {
    const { exit, err } = await run(model, '--dry-run', ...flags)
    expect(err).toContain(words)
    expect(exit).toBe(2)
  })
})
