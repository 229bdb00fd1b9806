import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Site } from '../src/attention/index.ts'
import { findSites } from '../src/attention/index.ts'
import { closeModel, openModel } from '../src/onnx/index.ts'

interface Entry {
  readonly file: string
  readonly sites_expected: number
  readonly other_softmaxes: number
  readonly softmax_nodes: number
  readonly attention_nodes: number
}

const root = join(import.meta.dirname, '..')
const folders = {
  'the exports in the repository': join(root, 'fixtures/models/exports'),
  'the larger set beside the repository': process.env.OUTEFFHOP_ZOO ?? join(root, '../shared/zoo'),
}

for (const [name, folder] of Object.entries(folders)) {
  const manifest = join(folder, 'manifest.json')
  const entries: Entry[] = existsSync(manifest) ? JSON.parse(readFileSync(manifest, 'utf8')) : []
  if (entries.length === 0)
    console.warn(`skipped: ${name} (${manifest} is not there; OUTEFFHOP_ZOO names another folder)`)
  describe.skipIf(entries.length === 0)(name, () => {
    for (const entry of entries) {
      it(`${entry.file}: ${entry.sites_expected} attention, ${entry.other_softmaxes} other`, () => {
        const model = openModel(join(folder, entry.file))
        const sites = findSites(model)
        closeModel(model)
        const taken = sites.filter((s) => s.verdict.kind === 'attention' || s.verdict.kind === 'fused')
        const left = sites.filter((s) => !taken.includes(s))
        expect(taken.map((s) => s.verdict.message)).toHaveLength(entry.sites_expected)
        expect(sites).toHaveLength(entry.softmax_nodes + entry.attention_nodes)
        expect(left.map((s) => s.verdict.reason)).not.toContain(null)
        expect(left.map((s) => s.verdict.kind).filter((kind) => kind === 'review')).toEqual([])
        for (const site of taken) expectJoined(site)
      })
    }
  })
}

/** Paths lead from the primary score contraction to the softmax and from there to the first value contraction. */
function expectJoined(site: Site): void {
  if (!site.input) return
  const [score] = site.scores
  const [value] = site.values
  const up = [...site.scorePath.map((s) => s.node.input(s.input)), site.input]
  const down = [site.output, ...site.valuePath.map((s) => s.node.output(s.output))]
  expect(up[0]).toBe(score?.node.output())
  expect(down.at(-1)).toBe(value?.node.input(value.otherInput))
}
