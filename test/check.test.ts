import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Store } from '../src/cache/index.ts'
import type { QuantizeSettings } from '../src/check/index.ts'
import { replayed } from '../src/check/settings.ts'
import { main } from '../src/cli/main.ts'
import { check } from '../src/index.ts'
import { modelToBytes, parseModel } from '../src/onnx/index.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import { targets } from '../src/targets/index.ts'
import type { FormSpec } from '../src/targets/target.ts'
import { bin, ensureBuilt } from './support/built.ts'
import { checkModels, placeModel } from './support/check-models.ts'
import { recordedWorld } from './support/world.ts'

const home = process.cwd()
let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-check-test-'))
  process.chdir(folder)
  writeModel('model.onnx')
})
afterEach(() => {
  process.chdir(home)
  rmSync(folder, { recursive: true, force: true })
})

/** Attention with a mask over self-made keys, by plain operators, so that several forms can take its place. */
function writeModel(path: string, more = ''): void {
  const text = `<ir_version: 8, opset_import: ["" : 17]>
g (float[B,4,8] x) => (float[B,4,8] y) <float[8,8] w = {${weights()}}> {
   ["/q"] q = MatMul (x, w)
   kt = Transpose <perm = [0, 2, 1]> (x)
   s = MatMul (q, kt)
   ["/Softmax"] p = Softmax <axis = -1> (s)
   o = MatMul (p, x)
   ${more}
   y = MatMul (o, w)
}`
  writeFileSync(path, modelToBytes(parseModel(text)))
}

function weights(): string {
  return Array.from({ length: 64 }, (_, i) => Math.sin(i * 12.9898).toFixed(4)).join(', ')
}

async function run(line: string, env: Record<string, string> = {}) {
  const world = recordedWorld({ env: { OUTEFFHOP_CACHE_DIR: join(folder, 'cache'), ...env } })
  const code = await main(['check', ...line.split(' ').filter((word) => word !== '')], world)
  return { code, out: world.out(), err: world.err(), json: () => JSON.parse(world.out()) }
}

const lock = () => JSON.parse(readFileSync('outeffhop.lock.json', 'utf8'))

/** What tests change in an entry. */
interface Editable {
  options: Record<string, unknown>
  madeWith: Record<string, string>
  files: Record<string, string>
  sites: Record<string, { verdict: string; form?: string }>
  operators: Record<string, number>
  bytes: number
  irVersion: number
  thresholds: object
  chosen: object
  outputs: { y: { own: { rms: number }; error: { sqnrDb: number } } }
}

/** The lock file with something in it changed. */
function edit(change: (entry: Editable) => void, name = 'model.onnx'): void {
  const content = lock()
  change(content.models[name])
  writeFileSync('outeffhop.lock.json', JSON.stringify(content))
}

/** The facts that drifted, and from what to what. */
function drifts(document: { models: { facts: { fact: string; ok: boolean; was: string; is: string }[] }[] }) {
  const facts = document.models.flatMap((model) => model.facts).filter(({ ok }) => !ok)
  return Object.fromEntries(facts.map(({ fact, was, is }) => [fact, [was, is]]))
}

describe('check without a lock file', () => {
  it('says what to run, with exit code 2', async () => {
    const { code, err, json } = await run('model.onnx --json')
    expect(code).toBe(2)
    expect(json().error).toMatchObject({ code: 'check-lock-missing', exitCode: 2 })
    expect(err).toContain('there is no lock file "outeffhop.lock.json"')
    expect(err).toContain('outeffhop-convert check model.onnx --update')
  })

  it('records with --update, and finds the model unchanged from then on', async () => {
    const first = await run('model.onnx --update --no-verify')
    expect([first.code, first.out]).toEqual([0, expect.stringContaining('1 recorded. Wrote outeffhop.lock.json.')])
    expect(lock().models['model.onnx']).toMatchObject({
      model: 'model.onnx',
      command: 'convert',
      options: { verify: false },
      files: { 'model.onnx': expect.stringMatching(/^[0-9a-f]{64}$/) },
      opsets: { 'ai.onnx': 17 },
      sites: { '/Softmax': { verdict: 'attention', form: 'primitives' } },
      operators: expect.objectContaining({ MatMul: 4, Exp: 2 }),
      data: null,
      outputs: null,
    })
    const second = await run('')
    expect(second.code).toBe(0)
    expect(second.out).toMatch(/^model\.onnx {2}unchanged, \d+ facts, known from an earlier check/)
    expect((await run('model.onnx --no-cache')).code).toBe(0)
  })

  it('makes the model as the lock file says, whatever the environment says of conversions', async () => {
    await run('model.onnx --update --no-verify', { OUTEFFHOP_SINKS: '-2' })
    expect(lock().models['model.onnx'].options).toEqual({ sink: -2, verify: false })
    const { code, json } = await run('--json', { OUTEFFHOP_SINKS: '-3', OUTEFFHOP_TARGET_VERSION: '1.30' })
    expect([code, json().models[0].cached]).toEqual([0, true])
  })

  it('refuses flags that say how to convert, and names that are not recorded', async () => {
    await run('model.onnx --update --no-verify')
    for (const line of ['model.onnx --sinks -2', '--name other', 'model.onnx --min-cosine 0.9']) {
      const { code, err } = await run(line)
      expect([code, err]).toEqual([2, expect.stringContaining('is written in "outeffhop.lock.json"')])
    }
    const { code, err, json } = await run('other.onnx --json')
    expect([code, err]).toEqual([2, expect.stringContaining('"other.onnx" is not in "outeffhop.lock.json"')])
    expect(json().error).toMatchObject({ code: 'check-model-unknown' })
    expect((await run('--update --recipe int8 --sinks 0 model.onnx')).err).toContain('--sinks is about a conversion')
    expect((await run('--update --recipe int8 --quantize int8 model.onnx')).code).toBe(2)
    expect((await run('--update --quantize int8')).err).toContain('no model is named')
  })
})

describe('check --update beside a config file', () => {
  const configure = (...entries: object[]) => writeFileSync('outeffhop.config.json', JSON.stringify(entries))
  const recordedOptions = (name = 'model.onnx') => lock().models[name].options

  it('records every model of it with its settings, flags before them', async () => {
    writeModel('other.onnx')
    configure(
      { model: 'model.onnx', sinks: -2, verify: false, output: 'made/m.onnx', overwrite: true },
      { model: 'other.onnx' },
    )
    expect((await run('--update')).code).toBe(0)
    expect(recordedOptions()).toEqual({ sink: -2, verify: false })
    expect(recordedOptions('other.onnx')).toEqual({})
    expect(existsSync('made')).toBe(false)
    await run('model.onnx --update --sinks -3')
    expect(recordedOptions()).toEqual({ sink: -3, verify: false })
  })

  it('follows a setting that was changed in it, and compares as it was recorded until then', async () => {
    configure({ model: 'model.onnx', sinks: -2 })
    await run('--update')
    configure({ model: 'model.onnx', sinks: -4 })
    expect((await run('')).code).toBe(0)
    expect(recordedOptions()).toEqual({ sink: -2 })
    await run('--update')
    expect(recordedOptions()).toEqual({ sink: -4 })
  })

  it('takes the entry for every model only for one that was not recorded, and none with --no-config', async () => {
    await run('model.onnx --update --sinks -2')
    configure({ sinks: -5 })
    writeModel('other.onnx')
    await run('model.onnx other.onnx --update')
    expect([recordedOptions(), recordedOptions('other.onnx')]).toEqual([{ sink: -2 }, { sink: -5 }])
    writeModel('third.onnx')
    await run('third.onnx --update --no-config')
    expect(recordedOptions('third.onnx')).toEqual({})
  })

  it('takes no settings of a conversion for a model that is only quantized', async () => {
    configure({ model: 'model.onnx', sinks: -5 })
    const { code, err } = await run('model.onnx --update --recipe weights-int8 --no-cache')
    expect([code, err]).toEqual([0, ''])
    expect(lock().models['model.onnx']).toMatchObject({ command: 'quantize', options: { recipe: 'weights-int8' } })
  })

  it('repeats the choices of a quantized model as that is now', async () => {
    placeModel(checkModels[1], folder)
    const made = (recipe: string) =>
      main(
        ['quantize', 'vit.onnx', '--recipe', recipe, '-o', 'q.onnx', '--overwrite', '--quiet'],
        recordedWorld({ env: {} }),
      )
    const update = 'vit.onnx --update --recipe q.onnx'
    for (const recipe of ['weights-int8', 'int8-dynamic']) {
      expect(await made(recipe)).toBe(0)
      await run(update)
      expect(lock().models['vit.onnx'].chosen.recipe).toBe(recipe)
    }
  })

  it('searches nothing again where the settings are the recorded ones, and again where flags ask for it', async () => {
    placeModel(checkModels[1], folder)
    configure({ command: 'quantize', model: 'vit.onnx', data: 'vit.jsonl', recipe: 'auto' })
    expect((await run('--update')).code).toBe(0)
    const { chosen } = lock().models['vit.onnx']
    const other = { recipe: 'weights-int8', keepFloat: [] }
    edit((entry) => {
      entry.chosen = other
    }, 'vit.onnx')
    await run('--update')
    expect(lock().models['vit.onnx'].chosen).toEqual(other)
    configure({ command: 'quantize', model: 'vit.onnx', data: 'vit.jsonl', recipe: 'auto', prefer: 'size' })
    expect(await run('--update')).toMatchObject({ code: 0, err: '' })
    expect(lock().models['vit.onnx'].chosen).not.toEqual(other)
    expect(chosen.recipe).toMatch(/^int8/)
  }, 300_000)
})

describe('a lock file', () => {
  it('is the same bytes when it is made again, and changes by one line where one fact does', async () => {
    await run('model.onnx --update --no-verify')
    const before = readFileSync('outeffhop.lock.json', 'utf8')
    const made = statSync('outeffhop.lock.json').mtimeMs
    expect((await run('--update')).out).toContain('Nothing new for outeffhop.lock.json')
    expect(statSync('outeffhop.lock.json').mtimeMs).toBe(made)
    writeModel('model.onnx', 'unused = Abs (o)')
    await run('--update')
    const lines = readFileSync('outeffhop.lock.json', 'utf8').split('\n')
    const old = before.split('\n')
    expect(lines.filter((line) => !old.includes(line)).map((line) => line.trim().split(':')[0])).toEqual([
      '"files"',
      '"Abs"',
      '"bytes"',
    ])
  })

  it('keeps models in the order of their names, with paths relative to its own folder', async () => {
    mkdirSync('models')
    renameSync('model.onnx', 'models/b.onnx')
    writeModel('models/a.onnx')
    await run('models/b.onnx --update --no-verify --lock models/lock.json')
    await run('models/a.onnx --update --no-verify --lock models/lock.json')
    const { models } = JSON.parse(readFileSync('models/lock.json', 'utf8'))
    expect(Object.keys(models)).toEqual(['a.onnx', 'b.onnx'])
    expect((await run('--lock models/lock.json')).code).toBe(0)
    process.chdir('models')
    expect((await run('a.onnx --lock lock.json')).code).toBe(0)
    expect((await run('./b.onnx --lock lock.json')).code).toBe(0)
  })

  it('holds one model twice under names', async () => {
    await run('model.onnx --update --no-verify')
    await run('model.onnx --update --no-verify --form primitives --name plain')
    expect(Object.keys(lock().models)).toEqual(['model.onnx', 'plain'])
    expect((await run('plain')).out).toContain('1 unchanged.')
    expect((await run('')).out).toContain('2 unchanged.')
  })

  const malformed = 'check-lock-malformed'
  const damaged: [what: string, text: string, code: string, words: string][] = [
    ['no JSON', '<<<<<<< ours\n{}', malformed, 'is not a lock file of this program'],
    ['a list', '[]', malformed, 'is not a lock file of this program'],
    ['another document', '{"lockfile": 1}', malformed, 'it has no "models"'],
    ['an entry without facts', '{"lockfile": 1, "models": {"a": {"model": "a"}}}', malformed, '"command" of "a"'],
    ['a later version', '{"lockfile": 2, "models": {}}', 'check-lock-version', 'is a lock file of version 2'],
  ]
  it.each(damaged)('that is %s is refused with exit code 2', async (_what, text, code, words) => {
    writeFileSync('outeffhop.lock.json', text)
    for (const line of ['--json', 'model.onnx --update --json']) {
      const result = await run(line)
      expect([result.code, result.err]).toEqual([2, expect.stringContaining(words)])
      expect(result.json().error.code).toBe(code)
    }
    expect(readFileSync('outeffhop.lock.json', 'utf8')).toBe(text)
  })

  it('with options that do not exist fails for that model, and the others are checked', async () => {
    writeModel('other.onnx')
    await run('model.onnx other.onnx --update --no-verify')
    edit((entry) => {
      entry.options.colour = 'red'
    })
    const { code, out } = await run('')
    expect(code).toBe(2)
    expect(out).toMatch(/model\.onnx {2}cannot be checked\n.*colour/)
    expect(out).toContain('1 unchanged, 1 failed.')
  })
})

describe('drift', () => {
  it('of a lowering that changed is exactly that drift', async () => {
    await run('model.onnx --update --no-verify --form zero-key')
    // What an older converter would have recorded, which knew primitives only.
    edit((entry) => {
      entry.madeWith['outeffhop-convert'] = '0.0.9'
      entry.sites['/Softmax'] = { verdict: 'attention', form: 'primitives' }
    })
    const document = (await run('--json')).json()
    expect(drifts(document)).toEqual({ 'site "/Softmax"': ['attention as primitives', 'attention as zero-key'] })
    expect(document.models[0].notes[0]).toMatch(/^recorded with outeffhop-convert 0\.0\.9, checked with \d/)
    const { code, out } = await run('')
    expect(code).toBe(1)
    expect(out).toContain(
      '✗ site "/Softmax": was attention as primitives, is attention as zero-key; see outeffhop-convert explain ' +
        'model.onnx, or if it is meant, record it: outeffhop-convert check model.onnx --update\n',
    )
  })

  it('of a converter that lost a form is in the sites and their operators, and is gone with it', async () => {
    placeModel(checkModels[0], folder)
    await run('bert.onnx --update --no-verify --no-cache')
    const forms = targets.get('ort')?.forms as FormSpec[]
    const all = [...forms]
    forms.splice(0, all.length, ...all.filter(({ form }) => form !== 'zero-key'))
    try {
      const found = drifts((await run('--json --no-cache')).json())
      const sites = Object.keys(lock().models['bert.onnx'].sites).map((name) => `site "${name}"`)
      expect(sites.length).toBeGreaterThan(0)
      for (const site of sites) expect(found[site]).toEqual(['attention as zero-key', 'attention as primitives'])
      const operators = Object.keys(found).filter((fact) => !fact.startsWith('site'))
      expect(operators).toEqual(expect.arrayContaining(['operator Pad', 'operator Exp', 'operator Softmax']))
      expect(operators.filter((fact) => !/^(operator|size|oldest)/.test(fact))).toEqual([])
    } finally {
      forms.splice(0, forms.length, ...all)
    }
    expect((await run('--no-cache')).code).toBe(0)
  })

  it('of another target version is in the forms, their operators and what they need, and nowhere else', async () => {
    placeModel(checkModels[0], folder)
    await run('bert.onnx --update --no-verify --provider cpu --target-version 1.20')
    const before = lock().models['bert.onnx']
    edit((entry) => {
      entry.options.targetVersion = '1.30'
    }, 'bert.onnx')
    const found = drifts((await run('--json')).json())
    const sites = Object.keys(before.sites).map((name) => `site "${name}"`)
    expect(Object.keys(found).filter((fact) => fact.startsWith('site'))).toEqual(sites)
    for (const site of sites) expect(found[site]).toEqual(['attention as zero-key', 'attention as gqa'])
    expect(found['oldest ONNX Runtime']).toEqual(['1.19', '1.30'])
    const others = Object.keys(found).filter(
      (fact) => !/^(site|operator|opset of com\.microsoft|size)|^oldest/.test(fact),
    )
    expect(others).toEqual([])
  })

  it('of the file, a missing operator and a new one is one line each', async () => {
    await run('model.onnx --update --no-verify')
    edit((entry) => {
      entry.operators = { ...entry.operators, MatMul: 7, Gemm: 1 }
      entry.files['model.onnx'] = '0'.repeat(64)
      delete entry.operators.Exp
    })
    const { out, code } = await run('')
    expect(code).toBe(1)
    expect(out.split('\n').filter((line) => line.includes('✗'))).toEqual([
      expect.stringMatching(/file "model.onnx": was sha256 0+, is sha256 [0-9a-f]{16}; put the recorded one back/),
      expect.stringContaining('operator MatMul: was 7 nodes, is 4 nodes'),
      expect.stringContaining('operator Gemm: was 1 node, is absent'),
      expect.stringContaining('operator Exp: was absent, is 2 nodes'),
    ])
  })

  it('is not of a size that is nearly the same', async () => {
    await run('model.onnx --update --no-verify')
    const { bytes } = lock().models['model.onnx']
    edit((entry) => {
      entry.bytes = Math.round(bytes * 1.005)
    })
    expect((await run('')).code).toBe(0)
    edit((entry) => {
      entry.bytes = Math.round(bytes * 1.05)
    })
    expect(Object.keys(drifts((await run('--json')).json()))).toEqual(['size'])
  })

  it('is said of a conversion that is refused now', async () => {
    await run('model.onnx --update --no-verify')
    writeFileSync(
      'model.onnx',
      modelToBytes(parseModel('<ir_version: 8, opset_import: ["" : 17]> g (float[4] x) => (y) { y = Relu (x) }')),
    )
    const document = (await run('--json')).json()
    expect(drifts(document).conversion).toEqual(['done', expect.stringMatching(/^refused: /)])
  })

  it('is not hidden by a model that cannot be read', async () => {
    writeModel('other.onnx')
    await run('model.onnx other.onnx --update --no-verify')
    writeFileSync('model.onnx', 'nonsense')
    edit((entry) => {
      entry.irVersion = 4
    }, 'other.onnx')
    const { code, out } = await run('')
    expect(code).toBe(3)
    expect(out).toContain('model.onnx  cannot be checked')
    expect(out).toContain('IR version: was 4, is 8')
    rmSync('model.onnx')
    expect((await run('model.onnx')).code).toBe(3)
  })
})

describe.skipIf(!installedRuntime())('check with data', () => {
  const data = () => {
    const rows = Array.from({ length: 9 }, (_, n) => ({
      x: [Array.from({ length: 4 }, (_, i) => Array.from({ length: 8 }, (_, j) => Math.sin(n + 3 * i + j * j)))],
    }))
    writeFileSync('data.jsonl', rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  }
  beforeEach(data)

  it('records errors of every output, and drifts where they or thresholds are broken', async () => {
    expect((await run('model.onnx --update --data data.jsonl --sinks 0 --accept-drift')).code).toBe(0)
    const { outputs } = lock().models['model.onnx']
    expect(outputs.y.own.sketch).toHaveLength(8)
    expect(outputs.y.error).toMatchObject({ notFinite: 0, sqnrDb: expect.any(Number), cosineWorst: expect.any(Number) })
    edit((entry) => {
      entry.outputs.y.error.sqnrDb += 3
      entry.thresholds = { minCosine: { y: 0.999999999, '*': 0.1 } }
    })
    const found = drifts((await run('--json')).json())
    expect(Object.keys(found)).toEqual(['output "y": SQNR (dB)', 'output "y": threshold minCosine'])
    expect(found['output "y": threshold minCosine']?.[0]).toBe('at least 0.999999999')
  })

  it('tells a causal mask that was dropped from one that is there', async () => {
    const masked = (mask: string) =>
      `<ir_version: 8, opset_import: ["" : 17]> g (float[B,4,8] x) => (float[B,4,8] y) <float[4,4] m = {${mask}}> {
   kt = Transpose <perm = [0, 2, 1]> (x)
   s = MatMul (x, kt)
   t = Add (s, m)
   ["/Softmax"] p = Softmax <axis = -1> (t)
   y = MatMul (p, x)
}`
    const causal = Array.from({ length: 16 }, (_, i) => (i % 4 > Math.floor(i / 4) ? -1e9 : 0))
    writeFileSync('model.onnx', modelToBytes(parseModel(masked(causal.join(', ')))))
    await run('model.onnx --update --data data.jsonl')
    writeFileSync('model.onnx', modelToBytes(parseModel(masked(causal.map(() => 0).join(', ')))))
    const { code, out } = await run('')
    expect(code).toBe(1)
    expect(out).toMatch(
      /output "y" of the model itself: was rms [\d.]+, is rms [\d.]+, [\d.]+ % away; the model computes/,
    )
  })

  it('fails for thresholds of outputs that are not there, and for those without data', async () => {
    await run('model.onnx --update --data data.jsonl')
    edit((entry) => {
      entry.thresholds = { maxAbs: { z: 1 } }
    })
    expect(Object.keys(drifts((await run('--json')).json()))).toEqual(['threshold maxAbs of output "z"'])
    const { code, out } = await run('model.onnx --update --no-verify --name other --max-error 1')
    expect([code, out]).toEqual([1, expect.stringContaining('threshold maxAbs: was a bound, is nothing that was')])
    edit((entry) => {
      entry.thresholds = { maxAbs: '1' }
    })
    expect((await run('')).err).toContain('"thresholds" of "model.onnx" is missing or something else')
  })

  it('does not record what breaks a threshold', async () => {
    const line = 'model.onnx --update --data data.jsonl --sinks 0 --accept-drift --min-sqnr 300'
    const { code, out } = await run(line)
    expect(code).toBe(1)
    expect(out).toContain('output "y": threshold minSqnrDb: was at least 300, is ')
    expect(existsSync('outeffhop.lock.json')).toBe(false)
  })

  it('takes data from where it is now, and tells other data from the recorded', async () => {
    await run('model.onnx --update --data data.jsonl')
    mkdirSync('moved')
    renameSync('data.jsonl', 'moved/data.jsonl')
    expect((await run('')).code).toBe(4)
    expect((await run('--data moved/data.jsonl')).code).toBe(0)
    writeFileSync('data.jsonl', readFileSync('moved/data.jsonl', 'utf8').split('\n').slice(1).join('\n'))
    const { code, out } = await run('')
    expect(code).toBe(1)
    expect(out).toMatch(/data: was 9 samples of jsonl, sha256 \w+, is 8 samples of jsonl, sha256/)
  })

  it('makes again what a search chose, without searching', async () => {
    placeModel(checkModels[1], folder)
    expect((await run('vit.onnx --update --data vit.jsonl --recipe auto')).code).toBe(0)
    const { options, chosen, command, products } = lock().models['vit.onnx']
    expect([command, options]).toEqual(['quantize', { data: 'vit.jsonl', recipe: 'auto' }])
    expect(chosen.recipe).toMatch(/^int8/)
    expect(products.quantized).toBeGreaterThan(0)
    // Without a cache it is made again; another choice makes another model.
    expect((await run('--no-cache')).code).toBe(0)
    edit((entry) => {
      entry.chosen = { recipe: 'weights-int8', keepFloat: [] }
    }, 'vit.onnx')
    const found = drifts((await run('--no-cache --json')).json())
    expect(Object.keys(found)).toContainEqual(expect.stringMatching(/^operator DequantizeLinear|QuantizeLinear/))
  }, 300_000)

  it('puts what a search chose in the place of the search, beside what was asked to stay in float', () => {
    const chosen = { recipe: 'int8-mse', keepFloat: ['a', 'b'] }
    const asked: QuantizeSettings = { recipe: 'auto', maxDrop: 0.1, keepFloat: 'x*' }
    const made = { recipe: 'int8-mse', keepFloat: ['x*', 'a', 'b'] }
    expect(replayed({ command: 'quantize', options: asked }, chosen, '.').options).toEqual(made)
    const convert = { command: 'convert', options: { quantize: { keepFloat: 'x*' } } } as const
    expect(replayed(convert, chosen, '.').options).toEqual({ quantize: made })
  })

  it('keeps recorded numbers that are the same within the slack', async () => {
    await run('model.onnx --update --data data.jsonl')
    edit((entry) => {
      entry.outputs.y.own.rms *= 1 + 1e-5
      entry.bytes += 1
    })
    const edited = lock()
    await run('--update')
    expect(lock()).toEqual(edited)
  })
})

describe('the cache of checks', () => {
  const entries = () => new Store(join(folder, 'cache')).list()

  it('answers for unchanged files, options and program only', async () => {
    await run('model.onnx --update --no-verify')
    expect(entries()).toHaveLength(1)
    const cached = async (line = '') => (await run(`--json ${line}`)).json().models[0].cached
    expect(await cached()).toBe(true)
    expect(await cached('--no-cache')).toBe(false)
    edit((entry) => {
      entry.options.sink = -1
    })
    expect(await cached()).toBe(false)
    expect(await cached()).toBe(true)
    writeModel('model.onnx', 'unused = Abs (o)')
    expect(await cached()).toBe(false)
  })

  it('that is damaged is noticed, ignored and replaced', async () => {
    await run('model.onnx --update --no-verify')
    const [entry] = entries()
    writeFileSync(join(folder, 'cache', entry?.key as string, 'entry'), 'damaged')
    const { code, out } = await run('')
    expect(code).toBe(0)
    expect(out).toContain('a damaged entry of the cache was thrown away')
    expect((await run('--json')).json().models[0].cached).toBe(true)
  })

  it('that cannot be written to is said, and fails nothing', async () => {
    writeFileSync('file', '')
    const { code, out } = await run('model.onnx --update --no-verify', {
      OUTEFFHOP_CACHE_DIR: join(folder, 'file', 'x'),
    })
    expect(code).toBe(0)
    expect(out).toContain('cannot be written to')
  })

  it('is not used where nobody names one, and a function cannot be recorded', async () => {
    const document = await check(['model.onnx'], { update: true, convert: { verify: false } })
    expect(document).toMatchObject({ ok: true, written: true, models: [{ outcome: 'recorded', cached: false }] })
    expect(entries()).toEqual([])
    const convert = { sink: () => -1, verify: false }
    const refused = await check(['model.onnx'], { update: true, convert })
    expect(refused.models[0]?.error).toMatchObject({ code: 'check-unrecordable' })
  })

  describe('in several processes', () => {
    beforeAll(ensureBuilt)

    it('serves checks that run at the same time', async () => {
      await run('model.onnx --update --no-verify --no-cache')
      const codes = await Promise.all([1, 2, 3, 4].map(() => processCode(['check', '--quiet'])))
      expect(codes).toEqual([0, 0, 0, 0])
      expect(entries()).toHaveLength(1)
      expect((await run('--no-cache')).code).toBe(0)
    })

    it('records what each of several updates at the same time adds', async () => {
      const names = Array.from({ length: 6 }, (_, i) => `model${i}.onnx`)
      for (const name of names) writeModel(name)
      const update = (name: string) => processCode(['check', name, '--update', '--no-verify', '--quiet'])
      expect(await Promise.all(names.map(update))).toEqual(names.map(() => 0))
      expect(Object.keys(lock().models)).toEqual(names)
      expect(readdirSync(folder).filter((name) => name.startsWith('outeffhop'))).toEqual(['outeffhop.lock.json'])
    })
  })

  it('takes a turn that a process left behind when it died', async () => {
    writeFileSync('outeffhop.lock.json.turn', '')
    expect((await run('model.onnx --update --no-verify')).code).toBe(0)
    expect(existsSync('outeffhop.lock.json.turn')).toBe(false)
  }, 30_000)
})

function processCode(words: readonly string[]): Promise<number | null> {
  return new Promise((resolve) => {
    const env = { ...process.env, OUTEFFHOP_CACHE_DIR: join(folder, 'cache') }
    spawn(process.execPath, [bin, ...words], { cwd: folder, env }).on('close', resolve)
  })
}
