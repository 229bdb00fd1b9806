import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { main } from '../src/cli/main.ts'
import { parseModel } from '../src/onnx/index.ts'
import { defaultSettings } from '../src/quantize/index.ts'
import { hasVnni, installedRuntime } from '../src/runtime/index.ts'
import { sessionOptionsFor, trapWarnings } from '../src/runtime-traps.ts'
import { symptomsOf } from '../src/symptoms.ts'
import type { RuntimeTrap, Symptom } from '../src/targets/index.ts'
import { ortTraps, trapsOf } from '../src/targets/index.ts'
import { labelledExports } from './support/exports.ts'
import { recordedWorld } from './support/world.ts'

const folder = mkdtempSync(join(tmpdir(), 'outeffhop-traps-'))
afterAll(() => rmSync(folder, { recursive: true }))

const found = (...symptoms: Symptom[]) => new Set(symptoms)
const codes = (version: string, symptoms: ReadonlySet<Symptom>, table?: readonly RuntimeTrap[]) =>
  trapsOf(version, symptoms, table).map(({ code }) => code)

describe('the table of traps', () => {
  it('says where every fact is from, and warns under a code of its own', () => {
    for (const { source } of ortTraps) expect(source).toMatch(/Measured|microsoft\/onnxruntime #\d+/)
    expect(new Set(ortTraps.map(({ code }) => code)).size).toBe(ortTraps.length)
  })

  it('holds a trap from its first release up to the one that mended it', () => {
    const wraps = found('signed-softmax')
    expect(codes('1.12.1', wraps)).toEqual([])
    expect(codes('1.13.0', wraps)).toEqual(['runtime-wraps-softmax'])
    expect(codes('1.29.3', wraps)).toEqual(['runtime-wraps-softmax'])
    expect(codes('1.30.0', wraps)).toEqual([])
  })

  it('warns of a release nobody has measured where no release is known to be right', () => {
    expect(codes('9.7.1', found('declared-residual', 'signed-softmax'))).toEqual(['runtime-slow-residual'])
    const made: RuntimeTrap = {
      ...{ code: 'made-up', symptom: 'float8-activation', since: '9.7', before: '9.8' },
      ...{ message: 'does', advice: 'Do not.', source: 'Measured nowhere.' },
    }
    expect(codes('9.7.1', found('float8-activation'), [made])).toEqual(['made-up'])
    expect(codes('9.8', found('float8-activation'), [made])).toEqual([])
    expect(codes('9.7.1', found('signed-softmax'), [made])).toEqual([])
  })
})

const head = '<ir_version: 8, opset_import: ["" : 19]>'
const quantizers = 'float s = {0.1}, int8 z = {0}, uint8 u = {0}'

describe('symptoms', () => {
  const cases: readonly (readonly [Symptom, string, string])[] = [
    [
      'declared-residual',
      `${head} g (float[1,4,2] a, float[1,4,2] b) => (float[1,4,2] y) <float[2] w = {1.0,1.0}>
       { c = Add (a, b) y = LayerNormalization (c, w) }`,
      `${head} g (float[1,4,2] a) => (float[1,4,2] y) <float[2] w = {1.0,1.0}>
       { r = Relu (a) t = Tanh (a) c = Add (r, t) y = LayerNormalization (c, w) }`,
    ],
    [
      'signed-softmax',
      `${head} g (int8[1,4] q) => (int8[1,4] y) <${quantizers}>
       { d = DequantizeLinear (q, s, z) p = Softmax (d) y = QuantizeLinear (p, s, z) }`,
      `${head} g (int8[1,4] q) => (uint8[1,4] y) <${quantizers}>
       { d = DequantizeLinear (q, s, z) p = Softmax (d) y = QuantizeLinear (p, s, u) }`,
    ],
    [
      'float-bias-of-rank-2',
      `${head} g (uint8[B,2] q) => (float[B,2] y) <${quantizers}, int8[2,2] w = {1,2,3,4}, float[2] b = {1.0,2.0}>
       { d = DequantizeLinear (q, s, u) v = DequantizeLinear (w, s, z) m = MatMul (d, v) y = Add (m, b) }`,
      `${head} g (uint8[B,S,2] q) => (float[B,S,2] y) <${quantizers}, int8[2,2] w = {1,2,3,4}, float[2] b = {1.0,2.0}>
       { d = DequantizeLinear (q, s, u) v = DequantizeLinear (w, s, z) m = MatMul (d, v) y = Add (m, b) }`,
    ],
    [
      'float8-activation',
      `${head} g (float[1,4] x) => (float[1,4] y) <float s = {0.1}, float8e4m3fn f = {0}>
       { q = QuantizeLinear (x, s, f) y = DequantizeLinear (q, s, f) }`,
      `${head} g (float[1,4] x) => (float[1,4] y) <${quantizers}>
       { q = QuantizeLinear (x, s, u) y = DequantizeLinear (q, s, u) }`,
    ],
  ]
  it.each(cases)('%s is seen where it is, and not where it is not', (symptom, sick, well) => {
    expect([...symptomsOf(parseModel(sick))]).toEqual([symptom])
    expect([...symptomsOf(parseModel(well))]).toEqual([])
  })
})

describe('what is said', () => {
  const model = parseModel(`${head} g (float[1] x) => (float[1] y) { y = Relu (x) }`)
  const old = { version: '1.30.0', vnni: false }

  it('names the option for processors that add in 16 bits, unless weights are in 7 bits or in float', () => {
    const [warning, ...more] = trapWarnings(model, defaultSettings, old)
    expect(more).toEqual([])
    expect(warning?.code).toBe('runtime-saturates')
    expect(warning?.message).toMatch(/^ONNX Runtime 1\.30\.0 .*--reduce-range.*session\.x64quantprecision=1\.$/)
    expect(trapWarnings(model, { ...defaultSettings, reduceRange: true }, old)).toEqual([])
    expect(trapWarnings(model, { ...defaultSettings, recipe: 'weights-int8' }, old)).toEqual([])
    for (const vnni of [true, undefined]) expect(trapWarnings(model, defaultSettings, { ...old, vnni })).toEqual([])
  })

  it('is nothing where no runtime is installed', () => {
    expect(trapWarnings(model, defaultSettings, { version: undefined, vnni: false })).toEqual([])
  })

  it('is the session option that belongs to weights in 7 bits', () => {
    expect(sessionOptionsFor(defaultSettings)).toEqual([])
    const [option] = sessionOptionsFor({ ...defaultSettings, reduceRange: true })
    expect(option).toMatchObject({ key: 'session.x64quantprecision', value: '1' })
    const [simulated] = sessionOptionsFor({ ...defaultSettings, protocol: 'outeffhop' })
    expect(simulated).toMatchObject({ key: 'session.disable_quant_qdq', value: '1' })
  })

  it.skipIf(installedRuntime() === undefined)('stands in what quantize prints', async () => {
    const path = labelledExports().find(([name]) => name === 'bert.eager.ts14')?.[1] as string
    const world = recordedWorld()
    const args = ['quantize', path, '--synthetic', '--samples', '3', '--reduce-range', '-o', join(folder, 'out.onnx')]
    expect(await main(args, world)).toBe(0)
    expect(world.out()).toContain('Session option session.x64quantprecision=1: ')
  })
})

describe('the processor', () => {
  it('is read from the flags Linux states, and unknown elsewhere', () => {
    const file = join(folder, 'cpuinfo')
    const flags = (text: string) => writeFileSync(file, `processor\t: 0\nflags\t\t: ${text}\nbugs\t\t: none\n`)
    flags('avx avx2 avx512f')
    expect(hasVnni('x64', file)).toBe(false)
    flags('avx avx2 avx512_vnni')
    expect(hasVnni('x64', file)).toBe(true)
    flags('avx2 avx_vnni')
    expect(hasVnni('x64', file)).toBe(true)
    expect(hasVnni('arm64', file)).toBeUndefined()
    expect(hasVnni('x64', join(folder, 'missing'))).toBeUndefined()
  })
})
