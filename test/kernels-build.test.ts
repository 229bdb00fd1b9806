import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { budgets, instancesOf } from './support/kernel-budgets.ts'
import { cudaProgram, kernels, must } from './support/kernels.ts'
import { architectures, blocksPerMultiprocessor } from './support/occupancy.ts'

const nvcc = cudaProgram('nvcc')
const dumper = nvcc === undefined ? undefined : cudaProgram('cuobjdump')
const folder = mkdtempSync(join(tmpdir(), 'outeffhop-nvcc-'))
const names = architectures.map(({ name }) => name)
const instances = budgets.flatMap((budget) => instancesOf(budget).map((instance) => ({ ...budget, instance })))

describe.skipIf(nvcc === undefined)('the kernels compiled by nvcc', () => {
  const usage = new Map<string, Map<string, Usage>>()
  const object = (name: string): string => join(folder, `${name}.o`)

  beforeAll(async () => {
    const compile = async (name: string): Promise<void> => {
      const target = ['-gencode', `arch=compute_${name.slice(3)},code=${name}`, '-Xptxas', '-v']
      const files = [`-I${join(kernels, 'include')}`, '-c', join(kernels, 'attention.cu'), '-o', object(name)]
      usage.set(name, readUsage(await must(nvcc!, ['-std=c++17', '-O3', ...target, ...files])))
    }
    const lane = async (parity: number): Promise<void> => {
      for (const [i, name] of names.entries()) if (i % 2 === parity) await compile(name)
    }
    await Promise.all([lane(0), lane(1)])
  }, 600_000)

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.each(names)('%s: no kernel spills, and each stays within its registers', (name) => {
    const used = usage.get(name)!
    expect([...used.keys()].sort()).toEqual(instances.map(({ instance }) => instance).sort())
    for (const { instance, registers } of instances) {
      expect(used.get(instance), instance).toMatchObject({ spilled: 0 })
      expect(used.get(instance)!.registers, instance).toBeLessThanOrEqual(registers)
    }
  })

  it.skipIf(dumper === undefined).each(names)(
    '%s: the 16-bit kernels multiply on tensor cores, copy asynchronously and keep off local memory',
    async (name) => {
      const path = [dirname(dumper!), process.env.PATH].join(delimiter)
      const functions = readFunctions(await must(dumper!, ['-sass', object(name)], path))
      for (const { instance, kernel, queries, shared } of instances.filter(({ kernel }) => kernel === 'flash')) {
        const code = functions.get(instance)!
        const size = Number(instance.split(' ').at(-1))
        const times = (instruction: RegExp): number => code.filter((line) => instruction.test(line)).length
        // Two products of 16 queries by 32 keys with each column of the head; a chunk of 16 bytes a copy, over 128 threads.
        expect(times(/HMMA\.16816\.F32/), `${kernel} ${instance}`).toBeGreaterThanOrEqual((size / 2) * (queries / 64))
        expect(times(/LDGSTS\.E\.BYPASS\.128/), instance).toBeGreaterThanOrEqual(shared / 16 / 128)
        expect(times(/LDSM\.16\.M88\.4/), instance).toBeGreaterThanOrEqual(size / 16)
        expect(times(/LDSM\.16\.MT88\.4/), instance).toBeGreaterThanOrEqual(size / 16)
        expect(times(/MUFU\.EX2/), instance).toBeGreaterThan(0)
        expect(times(/\b(STL|LDL)\b/), instance).toBe(0)
        expect(orderOf(code), instance).toContain('wait barrier keys wait barrier values')
      }
    },
    120_000,
  )
})

it('the README says how many blocks of each kernel the budgets let a multiprocessor run', () => {
  expect(budgets.length).toBeGreaterThan(0)
  for (const { blocks, ...budget } of budgets)
    expect(
      architectures.map((architecture) => blocksPerMultiprocessor(architecture, { ...budget, threads: 128 })),
      `${budget.kernel} ${budget.size}`,
    ).toEqual(blocks)
})

/** What ptxas says about a kernel. */
interface Usage {
  readonly registers: number
  readonly spilled: number
}

/** `Float16 64` of `…15flash_attentionINS_6device7Float16ELi64EEE…`. */
function instanceOf(mangled: string): string {
  const found = /(?:flash_attentionI.*?\d(B?Float16)E|plain_attentionI)Li(\d+)E/.exec(mangled)
  return found === null ? mangled : `${found[1] ?? 'float'} ${found[2]}`
}

function readUsage(log: string): Map<string, Usage> {
  const entries = log.split(/Compiling entry function '/).slice(1)
  return new Map(
    entries.map((entry) => {
      const [, stores, loads] = /(\d+) bytes spill stores, (\d+) bytes spill loads/.exec(entry)!
      const [, registers] = /Used (\d+) registers/.exec(entry)!
      return [instanceOf(entry), { registers: Number(registers), spilled: Number(stores) + Number(loads) }]
    }),
  )
}

/** The instructions of each kernel in what cuobjdump prints. */
function readFunctions(sass: string): Map<string, string[]> {
  const functions = sass.split(/Function : /).slice(1)
  return new Map(functions.map((text) => [instanceOf(text), text.split('\n')]))
}

const landmarks: readonly (readonly [string, RegExp])[] = [
  ['wait', /\bDEPBAR\.LE SB0/],
  ['barrier', /\bBAR\.SYNC/],
  ['keys', /\bLDSM\.16\.M88\.4/],
  ['values', /\bLDSM\.16\.MT88\.4/],
]

/** What stands between reads of shared memory, in the order of the code: the compiler must not have moved one across a barrier. */
function orderOf(code: readonly string[]): string {
  const met = code.flatMap((line) => landmarks.filter(([, pattern]) => pattern.test(line)).map(([name]) => name))
  return met.filter((name, i) => name !== met[i - 1]).join(' ')
}
