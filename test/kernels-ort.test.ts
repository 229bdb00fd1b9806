import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { main } from '../src/cli/main.ts'
import { convert } from '../src/convert.ts'
import { dense, distance } from './support/attention-reference.ts'
import { readCases } from './support/kernel-cases.ts'
import { caseTable, hostCompiler, kernels, must } from './support/kernels.ts'
import {
  blocks,
  caseJob,
  emitted,
  fitsMask,
  hidden,
  longJob,
  misjudged,
  nodeModel,
  operands,
  reference,
  softmaxJob,
} from './support/ort-jobs.ts'
import type { Answer, Job } from './support/ort-library.ts'
import { ortHeaders, runBridged, runInPython, runtimes } from './support/ort-library.ts'
import { realModels } from './support/real-models.ts'
import { recordedWorld } from './support/world.ts'

const compiler = hostCompiler()
const cmake = spawnSync('cmake', ['--version']).status === 0
if (!cmake) console.log('skipped: cmake does not run')
const headers = ortHeaders()
const folder = mkdtempSync(join(tmpdir(), 'outeffhop-ort-'))
const built = join(folder, 'build')
const library = join(built, 'libouteffhop_ort.so')

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(compiler === undefined || !cmake || headers === undefined)('the operators for ONNX Runtime', () => {
  let document: { readonly checks: readonly string[] }
  beforeAll(async () => {
    const env = Object.fromEntries(Object.entries(process.env).map(([name, value]) => [name, value ?? '']))
    const world = recordedWorld({ env })
    const code = await main(['kernels', '--build', '-o', built, '--headers', headers!, '--no-cuda', '--json'], world)
    expect([code, world.err()]).toEqual([0, ''])
    document = JSON.parse(world.out())
  }, 300_000)

  it('are built by the command, which tries every kernel for this processor, and the session of a runtime', () => {
    expect(document).toMatchObject({ command: 'kernels', library, cuda: false })
    expect(document.checks.join('; ')).toMatch(/can be loaded; right on \d+ cases/)
    if (process.platform === 'linux') expect(document.checks.at(-1)).toMatch(/^onnxruntime-node \S+ runs them$/)
  })

  it('the library exports its entry alone', async () => {
    const symbols = await must('nm', ['-D', '--defined-only', library])
    expect(
      symbols
        .trim()
        .split('\n')
        .map((line) => line.split(' ').at(-1)),
    ).toEqual(['RegisterCustomOps'])
  })

  for (const [version, python] of runtimes()) {
    describe(`in ONNX Runtime ${version}`, () => {
      it('gives what the table of cases wants', async () => {
        const data = join(folder, 'cases')
        mkdirSync(data, { recursive: true })
        const writer = join(folder, 'write_cases')
        const files = ['check/write_cases.cpp', 'check/cases.cpp', 'reference.cpp', 'call.cpp']
        const [includes, sources] = [
          ['.', 'include'].map((name) => `-I${join(kernels, name)}`),
          files.map((name) => join(kernels, name)),
        ]
        await must(compiler!, ['-std=c++17', '-O1', ...includes, ...sources, '-o', writer])
        await must(writer, [caseTable, data])
        const cases = readCases(caseTable, data).filter(fitsMask)
        const answers = runInPython(python, cases.map(caseJob), library)
        const wrong = answers.map(({ output, error }, i) => {
          const row = cases[i]!
          const problem = error ?? misjudged(row, output!)
          return problem === undefined ? undefined : `${row.name}: ${problem}`
        })
        expect(wrong.filter((text) => text !== undefined)).toEqual([])
        expect(answers.every(({ operators }) => operators.join() === 'HopfieldAttention')).toBe(true)
      }, 120_000)

      it('takes the place of the function in converted models, with the same results', () => {
        const written = blocks.map(emitted)
        const [bodies, fused] = [undefined, library].map((lib) => runInPython(python, written, lib))
        for (const [i, block] of blocks.entries()) {
          const [body, kernel] = [bodies![i]!, fused![i]!]
          expect([body.error, kernel.error]).toEqual([undefined, undefined])
          expect([body.operators, kernel.operators]).toEqual([[], ['HopfieldAttention']])
          const wanted = reference(block)
          // Half precision rounds to 2^-11 of numbers up to about 4.
          const tolerance = block.half ? 4e-3 : 3e-6
          expect(distance(body.output!, wanted)).toBeLessThan(tolerance)
          expect(distance(kernel.output!, wanted)).toBeLessThan(tolerance)
          if (block.fill !== undefined) expect(hidden(kernel.output!).every((x) => x === 0)).toBe(true)
        }
      }, 120_000)

      it.skipIf(/^1\.1[67]\./.test(version))('takes a sink without a mask', () => {
        const { q, k, v } = operands([1, 2, 5, 8], [1, 2, 7, 8], [1, 2, 7, 8])
        const sink = dense([2, 1, 1], [0.5, -1])
        const mask = dense([1, 1, 1, 1], [0])
        const jobs = [
          { q, k, v, sink },
          { q, k, v, mask, sink },
        ].map((feeds) => ({ model: nodeModel(feeds, 'float', 1), feeds }))
        const [without, masked] = runInPython(python, jobs, library)
        expect(without!.error).toBeUndefined()
        expect(without!.output).toEqual(masked!.output)
      })

      it('leaves out no key that has a weight, in rows of several blocks of keys', () => {
        const jobs = [-1e4, -150, -60, -30, -Infinity].map((fill) => longJob(fill))
        const answers = runInPython(python, jobs, library)
        expect(answers.map(({ error }) => error)).toEqual(jobs.map(() => undefined))
        const errors = answers.map(({ output }, i) => distance(output!, jobs[i]!.wanted))
        // Scores up to 400 have an error of some 400 * 2^-22.
        expect(Math.max(...errors)).toBeLessThan(3e-4)
      }, 60_000)

      it('gives the same on one thread and on three', () => {
        const jobs = blocks.slice(0, 4).map(emitted)
        const [one, three] = [1, 3].map((threads) => runInPython(python, jobs, library, threads))
        for (const [i, { output }] of one!.entries()) expect(three![i]!.output).toEqual(output)
      }, 120_000)

      for (const { name, path, sites, feeds } of realModels().filter(({ isFused }) => isFused)) {
        it(`is taken by every attention of ${name}, with the results of the function`, async () => {
          const output = join(folder, `${name}.${version}.onnx`)
          await convert(path, { form: 'function', output, verify: false })
          const job = { model: output, feeds: feeds() }
          const [[body], [fused]] = [undefined, library].map((lib) => runInPython(python, [job], lib)) as [
            Answer[],
            Answer[],
          ]
          expect([body?.error, fused?.error]).toEqual([undefined, undefined])
          expect([body?.operators.length, fused?.operators.length]).toEqual([0, sites])
          expect(distance(fused!.output!, body!.output!)).toBeLessThan(1e-5)
        }, 120_000)
      }

      it('normalises alone, along any axis and with a sink for each head', () => {
        const cases = [
          [-1, []],
          [-1, [1]],
          [-1, [3, 1, 1]],
          [2, [3, 1, 1]],
          [1, [2, 1, 1, 1]],
          [0, []],
        ] as const
        const jobs = cases.flatMap(([axis, sinks]) => [false, true].map((half) => softmaxJob(axis, sinks, half)))
        const answers = runInPython(python, jobs, library)
        for (const [i, { output, error, operators }] of answers.entries()) {
          expect(error).toBeUndefined()
          expect(operators).toEqual(['HopfieldSoftmax1'])
          expect(distance(output!, jobs[i]!.wanted)).toBeLessThan(jobs[i]!.half ? 3e-4 : 3e-7)
        }
      }, 60_000)

      it('hands on what is no number, and says what does not fit', () => {
        const { q, k, v } = operands([1, 2, 5, 8], [1, 2, 7, 8], [1, 2, 7, 8])
        const poisoned = dense(
          k.dims,
          k.data.map((x, i) => (i === 3 ? Number.NaN : x)),
        )
        const bad = (feeds: Job['feeds']) => ({ model: nodeModel(feeds, 'float', 1), feeds })
        const mask = dense([1, 1, 5, 6], new Float64Array(30))
        const short = dense([1, 2, 6, 8], v.data.subarray(0, 96))
        const sink = dense([3, 1, 1], [0, 0, 1])
        const none = dense([1, 1, 1, 1], [0])
        const jobs = [
          { q, k: poisoned, v },
          { q, k, v, mask },
          { q, k, v: short },
          { q, k, v, mask: none, sink },
        ].map(bad)
        const [nan, ...errors] = runInPython(python, jobs, library)
        expect(nan!.error).toBeUndefined()
        expect([...nan!.output!.data.subarray(0, 40)].every(Number.isNaN)).toBe(true)
        expect([...nan!.output!.data.subarray(40)].some(Number.isNaN)).toBe(false)
        expect(errors.map(({ error }) => error)).toEqual([
          expect.stringContaining('the mask [1, 1, 5, 6] does not broadcast against scores [1, 2, 5, 7]'),
          expect.stringContaining('k [1, 2, 7, 8] and v [1, 2, 6, 8] differ in their length'),
          expect.stringContaining('the sink [3, 1, 1] is neither one number nor [heads, 1, 1]'),
        ])
      }, 60_000)
    })
  }

  it.skipIf(process.platform !== 'linux')(
    'the bridge gives them to models of files and of bytes in onnxruntime-node',
    () => {
      const block = blocks[2]!
      const job = emitted(block)
      const { refused, results } = runBridged({ addon: join(built, 'outeffhop_node.node'), library, folder }, job)
      expect(refused).toEqual([
        'load(path) takes the path of a library, with a slash in it',
        expect.stringContaining('cannot open shared object file'),
        expect.stringContaining('none of operators'),
      ])
      expect(results.map(({ operators }) => operators)).toEqual([[], ['HopfieldAttention'], ['HopfieldAttention']])
      for (const { output } of results) expect(distance(output!, reference(block))).toBeLessThan(3e-6)
    },
  )
})
