import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { CheckOptions } from '../src/check/index.ts'
import { check } from '../src/check/index.ts'
import type { Model } from '../src/ir/index.ts'
import type { CheckedModel } from '../src/report/index.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import { breakModel, faults } from './support/break-model.ts'
import type { CheckModel } from './support/check-models.ts'
import { checkModels, placeModel } from './support/check-models.ts'

/** What goes wrong behind the conversion, as if the converter were at fault; undefined for the converter as it is. */
let faultOfConverter: ((model: Model) => void) | undefined

vi.mock('../src/convert.ts', async (original) => {
  const real = await original<typeof import('../src/convert.ts')>()
  return {
    ...real,
    convert: async (input: string, options: { output: string }) => {
      const result = await real.convert(input, options)
      if (faultOfConverter) await breakModel(options.output, options.output, faultOfConverter)
      return result
    },
  }
})

const folder = mkdtempSync(join(tmpdir(), 'outeffhop-mutations-'))
const lock = join(folder, 'outeffhop.lock.json')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const settings: Readonly<Record<CheckModel['name'], NonNullable<CheckOptions['convert']>>> = {
  bert: {},
  vit: { quantize: 'int8' },
  ocr: {},
}

const places = new Map(checkModels.map((one) => [one.name, placeModel(one, folder)]))
const modelOf = (name: CheckModel['name']) => (places.get(name) as { model: string }).model

async function checked(name: CheckModel['name']): Promise<CheckedModel> {
  const { models } = await check([modelOf(name)], { lock })
  return models[0] as CheckedModel
}

/** What a drift is about. */
const drifted = ({ facts }: CheckedModel) => facts.filter(({ ok }) => !ok)

describe.skipIf(!installedRuntime())('check', () => {
  beforeAll(async () => {
    for (const { name } of checkModels) {
      const { data, model } = places.get(name) as { model: string; data: string }
      // A fault may be so large that a conversion refuses it: here it is to be measured.
      const convert = { ...settings[name], data, acceptDrift: true, verify: false }
      const { models } = await check([model], { lock, update: true, convert })
      expect(models[0]?.error).toBeNull()
    }
  })

  describe.each(checkModels.map(({ name }) => name))('of %s', (name) => {
    it.each([1, 2, 3, 4, 5, 6, 7])('finds nothing where nothing changed (run %i)', async () => {
      const result = await checked(name)
      expect(drifted(result)).toEqual([])
      expect(result).toMatchObject({ outcome: 'unchanged', cached: false })
      expect(result.facts.some(({ group }) => group === 'outputs')).toBe(true)
    })

    it.each(Object.entries(faults))('finds %s in the model, and says so', async (what, fault) => {
      const good = join(folder, 'good.onnx')
      copyFileSync(modelOf(name), good)
      try {
        await breakModel(good, modelOf(name), fault)
        const result = await checked(name)
        expect(result.outcome).toBe('drift')
        const drifts = drifted(result)
        expect(drifts[0]?.fact).toBe(`file "${name}.onnx"`)
        // Not only that the file is another one: what it computes is.
        const why = /^output ".*" of the model itself$|^conversion$/
        // Data has its padding cut off: a mask of padding is missed in the graph, not in the outputs.
        const isMask = name === 'bert' && what.startsWith('an addition')
        expect(drifts.map(({ fact }) => fact)).toContainEqual(expect.stringMatching(isMask ? /^operator Add$/ : why))
      } finally {
        copyFileSync(good, modelOf(name))
      }
    })
  })

  it.each(
    Object.entries(faults).map(([fault, of], i) => [fault, checkModels[i % checkModels.length]?.name, of] as const),
  )('finds %s by a faulty converter (%s), and says so', async (_fault, name, fault) => {
    try {
      faultOfConverter = fault
      const result = await checked(name as CheckModel['name'])
      expect(result.outcome).toBe('drift')
      const drifts = drifted(result)
      // The model is the recorded one; what comes out of it is not.
      expect(drifts.filter(({ fact }) => /^file|of the model itself$/.test(fact))).toEqual([])
      expect(drifts.some(({ fact }) => /^output ".*": (SQNR|largest error|mean error)/.test(fact))).toBe(true)
    } finally {
      faultOfConverter = undefined
    }
  })
})
