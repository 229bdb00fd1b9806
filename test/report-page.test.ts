import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import axe from 'axe-core'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { chromium } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { main } from '../src/cli/main.ts'
import type { ModelReport } from '../src/report/index.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import { installedBrowser } from './support/browser.ts'
import { axisOf, type Drawn, readDrawing } from './support/drawn.ts'
import { labelledExports } from './support/exports.ts'
import type { Element, InPage } from './support/in-page.ts'
import { random } from './support/random.ts'
import { recordedWorld } from './support/world.ts'

const executablePath = installedBrowser()
const canShow = executablePath !== undefined && installedRuntime() !== undefined

/** A drawing is rounded to a hundredth, and the labels of an axis to four digits. */
const near = 0.06

let folder = ''
let browser: Browser
let server: Server
let address = ''
/** What the browser asked the server for. */
const asked: string[] = []
const at = (name: string) => join(folder, name)

async function run(...args: string[]): Promise<string> {
  const world = recordedWorld()
  expect([await main(args, world), world.err()]).toEqual([0, expect.any(String)])
  return world.out()
}

/** A small transformer with every part of a report, and where there is one a pretrained encoder on text. */
const models = [
  [
    'bert',
    labelledExports().find(([name]) => name === 'bert.eager.ts14')?.[1] as string,
    ['--synthetic', '--samples', '24'],
  ],
  ...(process.env.OUTEFFHOP_MODELS !== undefined && existsSync(join(process.env.OUTEFFHOP_MODELS, 'minilm_l3'))
    ? [encoder(process.env.OUTEFFHOP_MODELS)]
    : []),
] as const satisfies readonly (readonly [string, string, readonly string[]])[]

function encoder(models: string): readonly [string, string, readonly string[]] {
  const of = (file: string) => join(models, 'minilm_l3', file)
  return ['minilm', of('model.onnx'), ['--data', 'texts.txt', '--samples', '12', '--tokenizer', of('tokenizer.json')]]
}

/** A document of `compare`, with a layer whose noise has no number and one that is the same in both. */
function comparison(model: unknown): object {
  const seed = random(7)
  const layers = Array.from({ length: 30 }, (_, i) => ({
    ...{ value: `/layer.${i}/out`, node: `/layer.${i}/MatMul`, cosine: 1 - 1e-6 * i },
    sqnrDb: i === 3 ? null : 20 + i + seed(),
    cumulative: { cosine: 1 - 1e-5 * i, sqnrDb: i === 4 ? null : 10 + 40 * seed() },
  }))
  const output = { maxAbs: 0.01, meanAbs: 1e-4, cosine: 0.9999, sqnrDb: 40.5 }
  return {
    ...{ schema: 1, command: 'compare', model, other: model, samples: 3, data: { synthetic: true } },
    ...{ outputs: [{ name: 'y', ...output }], layers, latency: { firstMs: 2, secondMs: 3, ratio: 1.5 } },
    ...{ broken: [{ message: '"y" has a cosine below 1' }], ok: false },
  }
}

beforeAll(async () => {
  if (!canShow) return
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-page-'))
  copyFileSync('README.md', at('texts.txt'))
  for (const [name, path, flags] of models) {
    const data = flags.map((flag) => (flag === 'texts.txt' ? at(flag) : flag))
    copyFileSync(path, at(`${name}.onnx`))
    const printed = await run(
      ...[at(`${name}.onnx`), '-o', at(`${name}.out.onnx`), ...data, '--quantize', 'int8'],
      ...['--accept-drift', '--json', '--report', at(`${name}.plain.json`)],
    )
    const sensitivity = await run('sensitivity', at(`${name}.onnx`), ...data, '--json')
    writeFileSync(at('run.json'), printed)
    writeFileSync(at('sensitivity.json'), sensitivity)
    writeFileSync(at('compare.json'), JSON.stringify(comparison(JSON.parse(printed).model)))
    const output = ['-o', at(`${name}.html`), '--json']
    writeFileSync(
      at(`${name}.json`),
      await run('report', ...['run', 'sensitivity', 'compare'].map((part) => at(`${part}.json`)), ...output),
    )
  }
  const [before, after] = [at('bert.onnx'), at('bert.out.onnx')]
  const pages = ['--report', at('compared.html'), '--report', at('compared.json')]
  await main(
    ['compare', before, after, '--synthetic', '--samples', '3', '--layers', '--bench', ...pages],
    recordedWorld(),
  )
  server = createServer((request, response) => {
    asked.push(request.url ?? '')
    const file = at((request.url ?? '').slice(1))
    if (!existsSync(file)) response.writeHead(404).end()
    else response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(readFileSync(file))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  browser = await chromium.launch({ executablePath: executablePath as string, args: ['--no-sandbox'] })
}, 300_000)

afterAll(async () => {
  await browser?.close()
  server?.close()
  if (folder !== '') rmSync(folder, { recursive: true, force: true })
})

const contexts: BrowserContext[] = []
afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close()
})

/** What a page wrote to the console as a fault, and threw. */
const faults: string[] = []

async function open(name: string, options: { scheme?: 'light' | 'dark'; width?: number } = {}): Promise<Page> {
  const { scheme = 'light', width = 1100 } = options
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme })
  contexts.push(context)
  const page = await context.newPage()
  faults.length = 0
  asked.length = 0
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) faults.push(message.text())
  })
  page.on('pageerror', (error) => faults.push(String(error)))
  await page.goto(`${address}/${name}.html`)
  return page
}

function read(name: string): ModelReport {
  return JSON.parse(readFileSync(at(`${name}.json`), 'utf8'))
}

async function drawsOutliers(name: string): Promise<void> {
  const page = await open(name)
  const layers = read(name).outliers?.layers ?? []
  for (const metric of ['kurtosis', 'infinityNorm'] as const) {
    const drawn = await readDrawing(page, `outliers-${metric}`)
    const before = layers.map((layer) => layer.before[metric])
    const after = layers.flatMap((layer) => layer.after?.[metric] ?? [])
    const x = axisOf(drawn.x, scaleOf([...before, ...after]))
    expectPlaces(
      drawn.circles[0]?.map((circle) => circle.x),
      before.map(x),
    )
    expectPlaces(
      drawn.circles[1]?.map((circle) => circle.x),
      after.map(x),
    )
    expectPlaces(
      drawn.circles[0]?.map((circle) => circle.y),
      drawn.y.map(({ at }) => at),
    )
    expect(drawn.circles[0]?.map(({ title }) => title.split('\n')[0])).toEqual(layers.map(({ value }) => value))
    expect(new Set(drawn.y.map(({ label }) => label)).size).toBe(layers.length)
  }
}

async function drawsLayers(name: string): Promise<Page> {
  const page = await open(name)
  const { errors, costs } = read(name)
  const all = errors?.layers ?? []
  // The first 80 are drawn, and all are in the table.
  const layers = all.slice(0, 80)
  const drawn = await readDrawing(page, 'layers')
  const x = axisOf(drawn.x, 'linear')
  const known = (pick: 'sqnrDb' | 'introducedDb') => layers.flatMap((layer) => layer[pick] ?? [])
  expect(known('introducedDb').length).toBeGreaterThan(0)
  for (const [i, pick] of (['sqnrDb', 'introducedDb'] as const).entries()) {
    expectPlaces(
      drawn.circles[i]?.map((circle) => circle.x),
      known(pick).map(x),
    )
    const rows = layers.flatMap((layer, row) => (layer[pick] === null ? [] : [drawn.y[row]?.at ?? 0]))
    expectPlaces(
      drawn.circles[i]?.map((circle) => circle.y),
      rows,
    )
  }
  expect(await column(page, 'layer-errors', 4)).toEqual(all.map(({ introducedDb }) => introducedDb ?? 0))
  expect(await column(page, 'latency', 1)).toEqual([costs.milliseconds?.before, costs.milliseconds?.after])
  return page
}

describe.skipIf(!canShow)('the page of a comparison in a browser', () => {
  it('draws layers and outliers of both models, and says where the numbers come from', async () => {
    const { outliers, costs, environment } = read('compared')
    await drawsLayers('compared')
    await drawsOutliers('compared')
    expect(faults).toEqual([])
    expect(outliers?.layers.filter(({ after }) => after !== null).length).toBeGreaterThan(5)
    expect(costs.operators?.after).not.toEqual(costs.operators?.before)
    const page = await open('compared')
    expect(await page.locator('#environment').textContent()).toContain(environment?.runtime ?? 'none')
    expect(await column(page, 'operators', 1)).toEqual(expect.arrayContaining([costs.operators?.before.MatMul]))
  })
})

describe.skipIf(!canShow).each(models.map(([name]) => name))('the page of a report in a browser: %s', (name) => {
  it('has no fault, and asks for nothing but itself', async () => {
    const page = await open(name)
    await page.waitForTimeout(200)
    expect(faults).toEqual([])
    expect(asked).toEqual([`/${name}.html`])
  })

  it('could not load, send or run anything if something in it tried', async () => {
    const page = await open(name)
    const tried = await page.evaluate(async (address) => {
      const win = globalThis as unknown as InPage
      const { document } = win
      const refused = await win.fetch(`${address}/fetched`).then(
        () => false,
        () => true,
      )
      const image = document.createElement('img')
      image.src = `${address}/image`
      const script = document.createElement('script')
      script.textContent = 'globalThis.ran = true'
      document.body.append(image, script)
      await new Promise((done) => setTimeout(done, 200))
      return { refused, ran: win.ran === true }
    }, address)
    expect(tried).toEqual({ refused: true, ran: false })
    expect(asked).toEqual([`/${name}.html`])
    expect(faults.length).toBeGreaterThan(0)
  })

  it('draws outliers where the report has them', () => drawsOutliers(name))

  it('draws the bins and clip lines of every histogram', async () => {
    const page = await open(name)
    const values = read(name).histograms?.values ?? []
    expect(values.length).toBeGreaterThan(5)
    for (const [i, { low, width, counts, clips }] of values.entries()) {
      const drawn = await readDrawing(page, `histogram-${i}`)
      const x = axisOf(drawn.x, 'linear')
      const y = axisOf(drawn.y, 'log')
      const bins = counts.flatMap((count, bin) => (count > 0 ? [{ from: low + bin * width, count }] : []))
      expectPlaces(
        drawn.rects.map((rect) => rect.x),
        bins.map(({ from }) => x(from)),
      )
      expectPlaces(
        drawn.rects.map((rect) => rect.width),
        bins.map(({ from }) => x(from + width) - x(from)),
      )
      expectPlaces(
        drawn.rects.map((rect) => rect.y),
        bins.map(({ count }) => y(count)),
      )
      expectPlaces(
        drawn.lines.slice(-clips.length).flat(),
        clips.flatMap(({ min, max }) => [x(min), x(max)]),
      )
    }
  })

  it('shades the maxima of channels in their order', async () => {
    const page = await open(name)
    const rows = read(name).channels?.rows ?? []
    const drawn = await readDrawing(page, 'channels')
    const cells = rows.flatMap(({ largest }) => largest)
    expect(drawn.rects).toHaveLength(cells.length)
    const positive = cells.filter((x) => x > 0)
    const [least, most] = [Math.min(...positive), Math.max(...positive)]
    const step = (x: number) =>
      Math.min(7, Math.max(0, Math.floor((8 * Math.log(x / least)) / Math.log(most / least) + 1e-9)))
    const steps = drawn.rects.map(({ fill }) => Number(/var\(--heat-(\d)\)/.exec(fill)?.[1]))
    expect(steps).toEqual(cells.map((x) => (x > 0 ? step(x) : 0)))
    expectGrid(
      drawn,
      rows.map(({ largest }) => largest.length),
    )
    const colours = await page.evaluate(() => {
      const { document, getComputedStyle } = globalThis as unknown as InPage
      const cells = document.querySelectorAll('figure[data-plot="channels"] rect')
      return [...cells].map((cell) => `${cell.getAttribute('fill')} ${getComputedStyle(cell).fill}`)
    })
    expect(new Set(colours).size).toBe(new Set(steps).size)
    expect(new Set(colours.map((words) => words.split(' ').slice(1).join(''))).size).toBe(new Set(steps).size)
  })

  it('draws the mass and the change of every head', async () => {
    const page = await open(name)
    const sites = read(name).attention?.sites ?? []
    const heads = sites.flatMap((site) => site.heads)
    const mass = await readDrawing(page, 'mass')
    expect(mass.texts).toEqual(heads.map((head) => head.mass?.toFixed(3)))
    expectGrid(
      mass,
      sites.map((site) => site.heads.length),
    )
    const darkness = mass.rects.map(({ fill }) => Number(/var\(--heat-(\d)\)/.exec(fill)?.[1]))
    const order = heads
      .map((head, i) => ({ mass: head.mass ?? 1, dark: darkness[i] as number }))
      .sort((a, b) => a.mass - b.mass)
    expect(order.map(({ dark }) => dark)).toEqual(order.map(({ dark }) => dark).sort((a, b) => b - a))
    const change = await readDrawing(page, 'change')
    const [atZero, given] = [heads.map((head) => head.change ?? 0), heads.map((head) => head.sinkChange ?? 0)]
    const x = axisOf(change.x, scaleOf([...atZero, ...given]))
    expectPlaces(
      change.circles[0]?.map((circle) => circle.x),
      atZero.map(x),
    )
    expectPlaces(
      change.circles[1]?.map((circle) => circle.x),
      given.map(x),
    )
  })

  it('draws what quantizing each product costs', async () => {
    const page = await open(name)
    const noise = (read(name).rounding?.products ?? []).slice(0, 80).map((product) => product.noise ?? 0)
    const drawn = await readDrawing(page, 'rounding')
    expectPlaces(
      drawn.circles[0]?.map((circle) => circle.x),
      noise.map(axisOf(drawn.x, scaleOf(noise))),
    )
  })

  it('draws the error of every layer, what it adds and what it has', async () => {
    const page = await drawsLayers(name)
    const layers = read(name).errors?.layers ?? []
    const known = (pick: 'sqnrDb' | 'introducedDb') => layers.flatMap((layer) => layer[pick] ?? [])
    expect([known('sqnrDb').length, known('introducedDb').length]).toEqual([29, 29])
    expect(await page.locator('#errors').textContent()).toContain('"y" has a cosine below 1')
  })

  it('has the numbers of the report in its tables', async () => {
    const page = await open(name)
    const { attention, outliers, quantization } = read(name)
    expect(await column(page, 'heads', 6)).toEqual(
      attention?.sites.flatMap(({ heads }) => heads.map(({ mass }) => mass)),
    )
    expect(await column(page, 'outlier-layers', 1)).toEqual(outliers?.layers.map(({ before }) => before.kurtosis))
    const words = await page.locator('#products tbody tr td:nth-child(3)').allTextContents()
    expect(words).toEqual(quantization?.products.map(({ quantized }) => (quantized ? 'quantized' : 'float')))
  })

  it('sorts by the keyboard, numbers as numbers', async () => {
    const page = await open(name)
    await page
      .locator('details', { has: page.locator('#heads') })
      .locator('summary')
      .focus()
    await page.keyboard.press('Enter')
    const head = page.locator('#heads thead th').nth(6)
    await head.locator('button').focus()
    await page.keyboard.press('Enter')
    expect(await head.getAttribute('aria-sort')).toBe('ascending')
    const rising = await column(page, 'heads', 6)
    expect(rising).toEqual(rising.toSorted((a, b) => a - b))
    await page.keyboard.press('Space')
    expect(await head.getAttribute('aria-sort')).toBe('descending')
    expect(await column(page, 'heads', 6)).toEqual(rising.toReversed())
    await page.locator('#heads thead th').nth(0).locator('button').focus()
    await page.keyboard.press('Enter')
    expect(await page.locator('#heads th[aria-sort]').count()).toBe(1)
    const named = await page.locator('#heads tbody th').allTextContents()
    expect(named).toEqual(named.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })))
  })

  it('filters by the keyboard, and says how many are shown', async () => {
    const page = await open(name)
    const rows = page.locator('#products tbody tr')
    const all = await rows.count()
    const form = page.locator('form[data-filters="products"]')
    const products = read(name).quantization?.products ?? []
    await form.locator('input').focus()
    const node = products[1]?.node as string
    await page.keyboard.type(node.toUpperCase())
    const matching = products.filter((product) =>
      Object.values(product).join(' ').toLowerCase().includes(node.toLowerCase()),
    )
    await expect.poll(() => visible(page, 'products')).toBe(matching.length)
    expect(await form.locator('output').textContent()).toBe(`${matching.length} of ${all} shown`)
    await page.keyboard.press('Control+A')
    await page.keyboard.press('Delete')
    await page.keyboard.press('Tab')
    await page.keyboard.press('q')
    const quantized = products.filter((product) => product.quantized).length
    await expect.poll(() => visible(page, 'products')).toBe(quantized)
    await page.keyboard.press('Enter')
    expect(page.url()).toBe(`${address}/${name}.html`)
  })

  it('can be gone through by Tab, and every stop shows where it is', async () => {
    const page = await open(name)
    await page.keyboard.press('Tab')
    const first = await page.evaluate(() => (globalThis as unknown as InPage).document.activeElement.textContent)
    expect(first).toBe('Skip to the content')
    await page.keyboard.press('Enter')
    expect(page.url()).toMatch(/#content$/)
    for (let stop = 0; stop < 12; stop++) {
      await page.keyboard.press('Tab')
      const outline = await page.evaluate(() => {
        const { document, getComputedStyle } = globalThis as unknown as InPage
        const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement)
        return { name: document.activeElement.tagName, outlineStyle, outlineWidth }
      })
      expect(outline).toMatchObject({ outlineStyle: expect.stringMatching(/solid|auto/) })
      expect(outline.name).not.toBe('BODY')
    }
  })

  it.each([
    ['light', 1100],
    ['dark', 1100],
    ['light', 360],
    ['dark', 360],
  ] as const)(
    'has no violation that axe finds, %s and %d pixels wide, and no sideways scrolling',
    async (scheme, width) => {
      const page = await open(name, { scheme, width })
      const sizes = await page.evaluate(() => {
        const { document } = globalThis as unknown as InPage
        for (const details of document.querySelectorAll('details')) details.open = true
        const { scrollWidth, clientWidth } = document.documentElement
        return { scrollWidth, clientWidth }
      })
      expect(sizes.scrollWidth).toBe(sizes.clientWidth)
      await page.evaluate(axe.source)
      const { violations, passes } = await page.evaluate(() => (globalThis as unknown as InPage).axe.run())
      const said = violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 200)}`)
      expect(said).toEqual([])
      const passed = passes.map(({ id }) => id)
      for (const rule of [
        'color-contrast',
        'landmark-one-main',
        'svg-img-alt',
        'region',
        'scrollable-region-focusable',
      ])
        expect(passed).toContain(rule)
    },
  )

  it('is readable without scripts: every row is there, and no control that does nothing', async () => {
    const context = await browser.newContext({ javaScriptEnabled: false })
    contexts.push(context)
    const page = await context.newPage()
    await page.goto(`${address}/${name}.html`)
    expect(await page.locator('#sites tbody tr').count()).toBe(read(name).verdicts?.sites.length)
    expect(await page.locator('form').first().isVisible()).toBe(false)
    expect(await page.locator('thead button').count()).toBe(0)
  })
})

/** As the page chooses it: positive numbers that are orders apart stand on a logarithmic scale. */
function scaleOf(values: readonly number[]): 'log' | 'linear' {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  return low > 0 && high > 20 * low ? 'log' : 'linear'
}

function expectPlaces(places: readonly number[] | undefined, expected: readonly number[]): void {
  expect(places).toHaveLength(expected.length)
  const far = expected.filter((x, i) => !(Math.abs(x - (places?.[i] as number)) < near))
  expect(far).toEqual([])
}

/** Cells stand in rows of so many, each row below the one before. */
function expectGrid({ rects }: Drawn, counts: readonly number[]): void {
  let next = 0
  let above = Number.NEGATIVE_INFINITY
  for (const count of counts) {
    const row = rects.slice(next, next + count)
    next += count
    expect(new Set(row.map(({ y }) => y)).size).toBe(1)
    expect(row[0]?.y).toBeGreaterThan(above)
    above = row[0]?.y as number
    expect(row.map(({ x }) => x)).toEqual(row.map(({ x }) => x).sort((a, b) => a - b))
  }
  expect(next).toBe(rects.length)
}

/** The numbers of a column as they sort. */
function column(page: Page, table: string, index: number): Promise<number[]> {
  return page
    .locator(`#${table} tbody tr`)
    .evaluateAll(
      (rows, index) => (rows as unknown as Element[]).map((row) => Number(row.cells[index]?.dataset.value)),
      index,
    )
}

function visible(page: Page, table: string): Promise<number> {
  return page
    .locator(`#${table} tbody tr`)
    .evaluateAll((rows) => (rows as unknown as Element[]).filter((row) => !row.hidden).length)
}
