import { describe, expect, it } from 'vitest'
import { passes } from '../passes/index.ts'
import { findSites } from '../src/attention/index.ts'
import type { Model } from '../src/ir/index.ts'
import { Tensor, verify } from '../src/ir/index.ts'
import { parseModel, printModel } from '../src/onnx/index.ts'
import type { Pass, PassContext } from '../src/rewrite/index.ts'
import { insertSoftmax1, removeDead, runPipeline } from '../src/rewrite/index.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import { random } from '../src/runtime/random.ts'
import { largestDifference, rounding, runBoth } from './support/compare-outputs.ts'
import type { PassCase } from './support/pass-case.ts'
import { passCases, writeAfter } from './support/pass-case.ts'
import { spellOut } from './support/softmax1-reference.ts'

/** Writes what the passes give into the cases instead of comparing: look at the difference before you commit it. */
const update = process.env.UPDATE_FIXTURES === '1'
const cases = passCases()
const canRun = installedRuntime() !== undefined
if (!canRun) console.log('skipped: the numbers of the pass cases, because onnxruntime-node is not installed')

describe.each(passes.map((pass) => [pass.name, pass] as const))('%s', (name, pass) => {
  const own = cases.filter((c) => c.pass === name)

  it('has a case that changes and one that must stay as it is', () => {
    expect(pass.effect.kind === 'reports-only' || own.some((c) => c.after !== undefined)).toBe(true)
    expect(own.some((c) => c.after === undefined)).toBe(true)
  })

  it.each(own.map((c) => [c.claim.replaceAll('-', ' '), c] as const))('%s', (_, c) => {
    const model = read(c.before)
    const changed = apply(pass, model, c)
    verify(model)
    if (update && c.after !== undefined) return writeAfter(c, text(model))
    expect(text(model)).toBe(text(read(c.after ?? c.before)))
    expect(changed > 0).toBe(c.after !== undefined)
  })

  it.each(own.filter((c) => c.after !== undefined).map((c) => [c.claim.replaceAll('-', ' '), c] as const))(
    'a second run finds nothing to do: %s',
    (_, c) => {
      const model = read(c.before)
      apply(pass, model, c)
      const once = text(model)
      expect(apply(pass, model, c)).toBe(0)
      expect(text(model)).toBe(once)
    },
  )

  const counted = own.filter((c) => c.after !== undefined && canRun)
  it.each(counted.map((c) => [c.claim.replaceAll('-', ' '), c] as const))('the numbers are right: %s', async (_, c) => {
    const [expected, actual] = [read(c.before), read(c.after ?? '')]
    if (pass.effect.kind === 'changes-maths') convertByDefinition(expected, c)
    const refusal = c.numbers ?? spellOut(expected) ?? spellOut(actual)
    if (refusal !== undefined) return console.log(`skipped: numbers of ${c.pass}/${c.claim}: ${refusal}`)
    const isExplicit = c.settings.quantization?.settings.explicit !== undefined
    // Q/DQ that a compiler reads are computed as they stand.
    const level = isExplicit ? 'basic' : 'all'
    const outputs = await runBoth(expected, actual, { batch: 2, other: 5, past: 3 }, level)
    if (typeof outputs === 'string') throw new Error(outputs)
    const tolerance = pass.effect.kind === 'approximate' ? pass.effect.tolerance : rounding(outputs[0])
    expect(largestDifference(...outputs)).toBeLessThanOrEqual(tolerance)
  })
})

it('every fixture folder is the name of a pass', () => {
  const names = new Set(passes.map((pass) => pass.name))
  expect([...new Set(cases.map((c) => c.pass))].filter((name) => !names.has(name))).toEqual([])
})

/** Weights that the text leaves out are the same seeded numbers wherever their name and shape are. */
function read(source: string): Model {
  return parseModel(source, {
    fill({ name, dtype, dims }) {
      const next = random([...name].reduce((hash, char) => (Math.imul(hash, 31) + char.charCodeAt(0)) | 0, 17))
      const size = dims.reduce((product, dim) => product * dim, 1)
      return Tensor.of(
        dtype,
        dims,
        Array.from({ length: size }, () => 2 * next() - 1),
        name,
      )
    },
  })
}

function text(model: Model): string {
  return printModel(model, { limit: 64 })
}

function apply(pass: Pass, model: Model, c: PassCase): number {
  const switches = pass.when && [pass.when]
  return runPipeline(model, [pass], { ...c.settings, switches }).runs.reduce((sum, run) => sum + run.changed, 0)
}

/** Puts the definition of Softmax1 in the place of every attention softmax: what a pass that changes the maths must equal. */
function convertByDefinition(model: Model, { settings }: PassCase): void {
  const { sink: given = 0 } = settings
  const sink: PassContext['sink'] = (site) => (typeof given === 'function' ? given(site, site.output) : given)
  for (const site of findSites(model, settings.policies)) {
    if (site.verdict.kind !== 'attention') continue
    insertSoftmax1(site, sink(site))
    removeDead(site.nodes)
  }
}
