import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compareLayers } from '../src/compare/index.ts'
import type { DataSource } from '../src/data/index.ts'
import { openModel } from '../src/onnx/index.ts'
import { quantize } from '../src/quantize.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import { mutations } from './support/mutations.ts'
import { feedsOfExport, samplesOf } from './support/samples.ts'

const canRun = installedRuntime() !== undefined
if (!canRun) console.log('skipped: comparing layers in ONNX Runtime, which is not installed')

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-layers-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const exported = (name: string) => `fixtures/models/exports/${name}.onnx`

function dataOf(path: string): DataSource {
  return samplesOf(feedsOfExport(path.replace(/\.onnx$/, '.npz')))
}

/** The mutations that fit a model: which was made where, and what a comparison names first. */
async function caught(path: string, data: DataSource, except: readonly string[] = []) {
  const [fits, missed]: [string[], string[]] = [[], []]
  for (const mutation of mutations) {
    if (except.includes(mutation.name)) continue
    const broken = openModel(path)
    const node = mutation.apply(broken)
    if (node === undefined) continue
    fits.push(mutation.name)
    const { layers } = await compareLayers(openModel(path), broken, data)
    const [first] = layers
    const named = first && [first.node, ...first.chain].map(({ label }) => label)
    if (!named?.includes(node.label)) missed.push(`${mutation.name}: ${node.label}, and named is ${named}`)
  }
  return { fits, missed }
}

describe.runIf(canRun)('comparing layers', () => {
  const found = new Set<string>()

  it.each([
    ['bert.eager.ts14', 8, []],
    // Its mask is all zeros: to drop it is no fault.
    ['vit.sdpa.dynamo18', 6, ['a mask dropped']],
  ])('names the broken operator of %s first, whatever is broken', { timeout: 600_000 }, async (name, least, except) => {
    const path = exported(name)
    const { fits, missed } = await caught(path, dataOf(path), except)
    for (const mutation of fits) found.add(mutation)
    expect(missed).toEqual([])
    expect(fits.length).toBeGreaterThanOrEqual(least)
  })

  it('names the broken operator of an INT8 model first, whatever is broken', { timeout: 600_000 }, async () => {
    const path = exported('bert.eager.ts14')
    const output = join(folder, 'bert.int8.onnx')
    await quantize(path, { data: npzOf(path), output })
    const { fits, missed } = await caught(output, dataOf(path))
    for (const mutation of fits) found.add(mutation)
    expect(missed).toEqual([])
    expect(fits).toContain('a zero point shifted')
    expect(fits).toContain('a scale off by 2')
  })

  it('was tried with ten ways to break an operator', () => {
    expect([...found].length).toBeGreaterThanOrEqual(10)
  })
})

/** The inputs of an export alone, as a file of lines. */
function npzOf(path: string): string {
  const file = join(folder, 'inputs.jsonl')
  const lines = feedsOfExport(path.replace(/\.onnx$/, '.npz')).map((feeds) =>
    JSON.stringify(Object.fromEntries(Object.entries(feeds).map(([name, t]) => [name, nested(t.toNumbers(), t.dims)]))),
  )
  writeFileSync(file, lines.join('\n'))
  return file
}

function nested(values: readonly number[], dims: readonly number[]): unknown {
  const [size = 1, ...rest] = dims
  if (dims.length === 0) return values[0]
  if (rest.length === 0) return values
  const step = values.length / size
  return Array.from({ length: size }, (_, i) => nested(values.slice(i * step, (i + 1) * step), rest))
}
