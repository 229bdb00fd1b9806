import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expandAttention } from '../passes/expand-attention.ts'
import { convert, openModel, saveModel } from '../src/index.ts'
import type { Tensor } from '../src/ir/index.ts'
import { closeModel } from '../src/onnx/index.ts'
import { runPipeline } from '../src/rewrite/index.ts'
import { targets } from '../src/targets/index.ts'
import { inputsOfExport, labelledExports } from './support/exports.ts'
import { moveInto, places } from './support/wrapped-model.ts'

const exports = new Map(labelledExports())
let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-anywhere-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A tensor as nested lists. */
function listsOf({ dims }: Tensor, values: readonly number[]): unknown {
  if (dims.length === 0) return values[0]
  return dims.reduceRight<unknown[]>(
    (flat, dim, i) =>
      i === 0 ? flat : Array.from({ length: flat.length / dim }, (_, j) => flat.slice(j * dim, (j + 1) * dim)),
    [...values],
  )
}

/** The recorded inputs of an export as a file of one sample. */
function dataOf(path: string, more: Readonly<Record<string, unknown>> = {}): string {
  const feeds = Object.entries(inputsOfExport(path)).map(([name, tensor]) => {
    const values = tensor.toNumbers(1 << 24)
    return [name, listsOf(tensor, tensor.dtype === 9 ? (values.map(Boolean) as unknown as number[]) : values)]
  })
  const file = join(mkdtempSync(join(folder, 'data-')), 'data.jsonl')
  writeFileSync(file, JSON.stringify({ ...Object.fromEntries(feeds), ...more }))
  return file
}

/** The mask of a text with what is shown first. */
function paddedBehind(path: string): Readonly<Record<string, unknown>> {
  const mask = inputsOfExport(path).attention_mask
  const rows = mask && (listsOf(mask, mask.toNumbers(1 << 24)) as number[][])
  return rows === undefined ? {} : { attention_mask: rows.map((row) => row.toSorted((a, b) => b - a)) }
}

const output = () => join(mkdtempSync(join(folder, 'out-')), 'out.onnx')
const sinksOf = async (model: string, data: string) => {
  const { document } = await convert(model, { data, output: output() })
  const sites = document.sites.filter(({ converted }) => converted)
  return { document, sinks: sites.map(({ sink }) => sink as number[]) }
}

/** The largest distance of two lists of sinks, head by head. */
function farthest(a: readonly (readonly number[])[], b: readonly (readonly number[])[]): number {
  expect(a.map(({ length }) => length)).toEqual(b.map(({ length }) => length))
  return Math.max(...a.flatMap((site, i) => site.map((sink, head) => Math.abs(sink - (b[i]?.[head] as number)))))
}

describe('calibrated sinks of an export are those it has in the main graph when its nodes are in', () => {
  for (const name of ['bert.eager.ts14', 'llama_with_past.eager.ts14'])
    it.each(places)(`%s: ${name}`, async (place) => {
      const path = exports.get(name) as string
      const plain = await sinksOf(path, dataOf(path))
      const moved = join(mkdtempSync(join(folder, 'moved-')), 'moved.onnx')
      const model = openModel(path)
      moveInto(model, place)
      await saveModel(model, moved)
      closeModel(model)
      const { document, sinks } = await sinksOf(moved, dataOf(path, place === 'a branch' ? { inside: true } : {}))
      expect(farthest(sinks, plain.sinks)).toBeLessThan(1e-4)
      for (const { cosine } of document.change?.measured?.outputs ?? []) expect(1 - cosine.worst).toBeLessThan(1e-3)
    })
})

describe('calibrated sinks of fused attention are those of its standard operators', () => {
  const fused = [...exports].filter(([name]) => name.endsWith('.sdpa.dynamo23'))
  it.each(fused)('%s', async (_, path) => {
    const recorded = dataOf(path)
    // Padding in front leaves rows without a key, which are NaN in standard operators and 0 in fused ones.
    const data = dataOf(path, paddedBehind(path))
    const opened = join(mkdtempSync(join(folder, 'open-')), 'open.onnx')
    const model = openModel(path)
    runPipeline(model, [expandAttention], {
      target: { target: targets.get('onnx')!, version: undefined, provider: 'any' },
    })
    await saveModel(model, opened)
    closeModel(model)
    const [plain, { document, sinks }] = [await sinksOf(opened, data), await sinksOf(path, data)]
    expect(document.sites.map(({ verdict }) => verdict)).toContain('fused')
    await expect(convert(path, { data: recorded, dryRun: true })).resolves.toMatchObject({
      document: { sink: 'calibrated' },
    })
    expect(farthest(sinks, plain.sinks)).toBeLessThan(1e-4)
    expect(document.change?.measured?.outputs.length).toBeGreaterThan(0)
    for (const { cosine } of document.change?.measured?.outputs ?? []) expect(1 - cosine.worst).toBeLessThan(1e-3)
  })
})

describe('calibrated sinks of GroupQueryAttention', () => {
  const cpu = { provider: 'cpu', targetVersion: '1.30' } as const
  it.each(['llama.sdpa.dynamo18', 'gemma2.eager.ts14', 'bert.eager.ts14'])(
    'are those of the plain attention it is made of, and its head_sink: %s',
    async (name) => {
      const path = exports.get(name) as string
      const data = dataOf(path, paddedBehind(path))
      const fused = output()
      const made = await convert(path, { ...cpu, form: 'gqa', output: fused })
      const forms = made.document.sites.map(({ form }) => form)
      expect(new Set(forms)).toEqual(new Set(['gqa']))
      const softmax = output()
      const model = openModel(fused)
      for (const node of model.graph.nodes())
        if (node.opType === 'GroupQueryAttention') node.setAttribute('smooth_softmax', undefined)
      await saveModel(model, softmax)
      closeModel(model)
      const plain = await sinksOf(path, data)
      const { document } = await convert(softmax, { ...cpu, data, output: output() })
      const sites = document.sites.filter(({ converted }) => converted)
      expect(sites.map(({ op, form }) => [op, form])).toEqual(
        forms.map(() => ['com.microsoft::GroupQueryAttention', 'gqa']),
      )
      expect(
        farthest(
          sites.map(({ sink }) => sink as number[]),
          plain.sinks,
        ),
      ).toBeLessThan(1e-3)
      expect(document.change?.measured?.outputs.length).toBeGreaterThan(0)
      for (const { cosine } of document.change?.measured?.outputs ?? []) expect(1 - cosine.worst).toBeLessThan(1e-3)
    },
  )
})
