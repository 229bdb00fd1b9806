import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { budgets } from './support/kernel-budgets.ts'
import { attentionOf, readCases } from './support/kernel-cases.ts'
import { caseTable, emulator, hostCompiler, kernels, must, type Ran, run } from './support/kernels.ts'
import { type PlantedBug, plantedBugs } from './support/planted-bugs.ts'

const compiler = hostCompiler()
const folder = mkdtempSync(join(tmpdir(), 'outeffhop-kernels-'))
const attention = join(emulator, 'emulated-attention.cpp')
/** What stays the same whatever is done to the kernels. */
const rest = ['call.cpp', 'reference.cpp', 'check/cases.cpp']
  .map((file) => join(kernels, file))
  .concat(['emulator.cpp', 'run-emulated.cpp'].map((file) => join(emulator, file)))

const warnings = ['-Wall', '-Wextra', '-Werror', '-Wno-unknown-pragmas']
const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all', '-g1']

/** The flags everything is compiled with; kernel text is taken from `sources`. */
const flags = (sources = kernels): string[] =>
  ['-std=c++17', '-O1', '-U_FORTIFY_SOURCE'].concat(
    [sources, join(sources, 'include'), emulator].map((include) => `-I${include}`),
  )

/** Compiles each source to an object in a folder of its own, two at a time. */
async function compileEach(sources: readonly string[], extra: readonly string[]): Promise<string[]> {
  const objects = mkdtempSync(join(folder, 'objects-'))
  const object = (source: string): string => join(objects, `${basename(source)}.o`)
  const lane = async (mine: readonly string[]): Promise<void> => {
    for (const source of mine) await must(compiler!, [...flags(), ...extra, '-c', source, '-o', object(source)])
  }
  await Promise.all([lane(sources.filter((_, i) => i % 2 === 0)), lane(sources.filter((_, i) => i % 2 === 1))])
  return sources.map(object)
}

/** Runs the cases on an emulated kernel; the schedule is one of chance unless `args` say otherwise. */
const emulate = (program: string, ...args: string[]): Promise<Ran> => run(program, [caseTable, ...args])

describe.skipIf(compiler === undefined)('the kernels on the emulator', () => {
  const plain = join(folder, 'emulated')
  const sanitized = join(folder, 'sanitized')
  let objects: string[]
  let sanitizedObjects: string[]

  beforeAll(async () => {
    objects = await compileEach(rest, warnings)
    sanitizedObjects = await compileEach(rest, sanitizers)
    await Promise.all([
      must(compiler!, [...flags(), ...warnings, attention, ...objects, '-o', plain]),
      must(compiler!, [...flags(), ...sanitizers, attention, ...sanitizedObjects, '-o', sanitized]),
    ])
  }, 600_000)

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('the reference gives what the formula says, for every case of the table', async () => {
    const writer = join(folder, 'write-cases')
    const data = mkdtempSync(join(folder, 'cases-'))
    const needed = objects.filter((object) => /\/(call|reference|cases)\./.test(object))
    await must(compiler!, [...flags(), ...warnings, join(kernels, 'check/write_cases.cpp'), ...needed, '-o', writer])
    await must(writer, [caseTable, data])
    const cases = readCases(caseTable, data)
    expect(cases.length).toBeGreaterThan(60)
    for (const row of cases) {
      const own = attentionOf(row)
      const worst = own.reduce((most, value, i) => Math.max(most, Math.abs(value - row.wanted[i]!)), 0)
      expect(worst, row.name).toBeLessThan(1e-5)
    }
  }, 120_000)

  it('the README says what a block of each kernel takes on and takes up', async () => {
    const lines = (await must(plain, [])).trimEnd().split('\n')
    const rows = budgets.map(({ kernel, size, queries, shared }) => `${kernel} ${size} ${queries} 128 ${shared}`)
    expect(lines).toEqual(expect.arrayContaining(rows))
  })

  it('the reference reads every stride and type as they are', async () => {
    expect(await emulate(plain, '--landing', 'reference')).toMatchObject({ code: 0 })
  }, 120_000)

  it.each(['early', 'late', 'any'])(
    'every case is right when asynchronous copies land %s, and no matrix is read with bank conflicts',
    async (landing) => {
      const { code, output } = await emulate(plain, '--landing', landing, '--seed', String(landing.length))
      expect({ code, output: output.trimEnd().split('\n').at(-1) }).toEqual({
        code: 0,
        output: expect.stringMatching(/^\d+ cases, 0 wrong, [1-9]\d+ matrices, 0 bank conflicts$/),
      })
    },
    300_000,
  )

  it('the address and undefined-behaviour sanitizers find nothing', async () => {
    const { code, output } = await emulate(sanitized, '--seed', '7')
    expect({ code, output: output.slice(-2000) }).toMatchObject({ code: 0 })
  }, 600_000)

  describe('a planted bug is caught', () => {
    it.each(plantedBugs.map((bug) => [bug.claim, bug] as const))(
      '%s',
      async (_, bug) => {
        const program = join(folder, 'planted')
        const sources = plant(bug, mkdtempSync(join(folder, 'planted-')))
        const linked = bug.sanitizer ? [...sanitizers, ...sanitizedObjects] : objects
        await must(compiler!, [...flags(sources), '-DOUTEFFHOP_ONLY_HEAD_SIZE=64', attention, ...linked, '-o', program])
        expect(await firstFailure(program)).toMatch(
          bug.sanitizer ? /ERROR: AddressSanitizer: heap-buffer-overflow/ : /WRONG|fault: /,
        )
      },
      300_000,
    )
  })
})

/** A copy of the sources with the bug in them. */
function plant(bug: PlantedBug, copy: string): string {
  cpSync(kernels, copy, { recursive: true })
  const file = join(copy, bug.file)
  const text = readFileSync(file, 'utf8')
  expect(text.split(bug.from).length - 1, `"${bug.from}" stands once in ${bug.file}`).toBe(1)
  writeFileSync(file, text.replace(bug.from, bug.to))
  return copy
}

/** What the first schedule says that does not pass; nothing when all pass. */
async function firstFailure(program: string): Promise<string> {
  for (const landing of ['any', 'late', 'early']) {
    const { code, output } = await emulate(program, '--landing', landing, '--head-size', '64')
    if (code !== 0) return output
  }
  return ''
}
