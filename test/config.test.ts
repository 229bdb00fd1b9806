import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { main } from '../src/cli/main.ts'
import { configSchema } from '../src/config/index.ts'
import { root } from './support/built.ts'
import { recordedWorld } from './support/world.ts'

const home = process.cwd()
let folder = ''

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'outeffhop-config-')))
  mkdirSync(join(folder, '.git'))
  mkdirSync(join(folder, 'models'))
  mkdirSync(join(folder, 'deep/er'), { recursive: true })
  for (const name of ['bert.eager.ts14', 'vit.sdpa.dynamo18']) {
    copyFileSync(
      join(root, `fixtures/models/exports/${name}.onnx`),
      join(folder, 'models', `${name.split('.')[0]}.onnx`),
    )
  }
  process.chdir(folder)
})

afterEach(() => {
  process.chdir(home)
  rmSync(folder, { recursive: true, force: true })
})

async function run(words: string, env: Record<string, string> = {}) {
  const world = recordedWorld({ env })
  const code = await main(words.split(' ').filter(Boolean), world)
  return { code, out: world.out(), err: world.err() }
}

/** The settings that are not left at their defaults, with their origins. */
async function settings(words: string, env: Record<string, string> = {}) {
  const { out } = await run(`${words} --print-config --json`, env)
  const all = Object.entries(JSON.parse(out).entries[0].settings as Record<string, { value: unknown; origin: string }>)
  return Object.fromEntries(all.filter(([, { origin }]) => origin !== 'default'))
}

describe('the order of sources', () => {
  it('is command line, environment, config file, default', async () => {
    writeFileSync('outeffhop.config.json', '{ "target": "onnx", "provider": "cpu", "overwrite": true, "sinks": -2 }')
    const env = { OUTEFFHOP_PROVIDER: 'cuda', OUTEFFHOP_ALLOW_NONE: '1', OUTEFFHOP_ONLY: '["a","b"]' }
    expect(await settings('models/bert.onnx --target ort', env)).toEqual({
      target: { value: 'ort', origin: 'command line' },
      provider: { value: 'cuda', origin: 'OUTEFFHOP_PROVIDER' },
      allowNone: { value: true, origin: 'OUTEFFHOP_ALLOW_NONE' },
      only: { value: ['a', 'b'], origin: 'OUTEFFHOP_ONLY' },
      overwrite: { value: true, origin: 'outeffhop.config.json' },
      sinks: { value: '-2', origin: 'outeffhop.config.json' },
    })
  })

  it('is shown as text, defaults included', async () => {
    writeFileSync('outeffhop.config.json', '{ "verify": false }')
    const { out } = await run('models/bert.onnx --print-config')
    expect(out).toMatch(/^convert models\/bert\.onnx\n/)
    expect(out).toMatch(/^ {2}verify +false +outeffhop\.config\.json$/m)
    expect(out).toMatch(/^ {2}target +default$/m)
  })

  it('leaves the file out with --no-config', async () => {
    writeFileSync('outeffhop.config.json', '{ "target": "onnx" }')
    expect(await settings('models/bert.onnx --no-config')).toEqual({})
  })
})

describe('a config file', () => {
  it('without models holds for every model of the command line', async () => {
    writeFileSync('outeffhop.config.json', '{ "sinks": -2, "verify": false }')
    const { code, out } = await run('models/bert.onnx --json --dry-run')
    expect(code).toBe(0)
    expect(JSON.parse(out).sites[0].sink).toBe(-2)
  })

  it('with an entry for a model holds for that model alone', async () => {
    writeFileSync('outeffhop.config.json', '[{ "model": "models/bert.onnx", "sinks": -2 }, { "provider": "cpu" }]')
    expect(Object.keys(await settings('models/bert.onnx'))).toEqual(['sinks'])
    expect(Object.keys(await settings('models/vit.onnx'))).toEqual(['provider'])
  })

  it.each([
    ['mjs', "export default { target: 'onnx' }"],
    ['js', "export default async () => [{ target: 'onnx' }]"],
    ['ts', "const target: string = 'onnx'\nexport default { target }"],
    ['mts', "export default { target: 'onnx' } as const"],
    ['json', '\uFEFF{ "$schema": "x", "target": "onnx" }'],
  ])('may be .%s', async (extension, text) => {
    writeFileSync('package.json', '{ "type": "module" }')
    writeFileSync(`outeffhop.config.${extension}`, text)
    expect(await settings('models/bert.onnx')).toMatchObject({ target: { value: 'onnx' } })
  })

  it('is found in a folder above, and its paths start where it is', async () => {
    writeFileSync('outeffhop.config.json', '{ "model": "models/bert.onnx", "output": "out.onnx", "verify": false }')
    process.chdir('deep/er')
    const { code, err } = await run('')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(existsSync(join(folder, 'out.onnx'))).toBe(true)
  })

  it('builds every model it names in one go, each by its own command, and one document is printed', async () => {
    writeFileSync(
      'outeffhop.config.json',
      JSON.stringify([
        { model: 'models/bert.onnx', verify: false },
        { command: 'quantize', model: 'models/vit.onnx', recipe: 'weights-int8', synthetic: true, samples: 4 },
      ]),
    )
    const { code, out } = await run('--json')
    expect(code).toBe(0)
    const { documents } = JSON.parse(out)
    expect(documents.map(({ command }: { command: string }) => command)).toEqual(['convert', 'quantize'])
    expect(existsSync('models/bert.outeffhop.onnx')).toBe(true)
    expect(existsSync('models/vit.int8.onnx')).toBe(true)
  })

  it('goes on behind a model that fails, and the exit code tells', async () => {
    writeFileSync(
      'outeffhop.config.json',
      '[{ "model": "missing.onnx" }, { "model": "models/bert.onnx", "verify": false }]',
    )
    const { code, err } = await run('')
    expect(code).toBe(3)
    expect(err).toContain('missing.onnx')
    expect(existsSync('models/bert.outeffhop.onnx')).toBe(true)
  })

  it('that is wrong is refused with all that is wrong in it', async () => {
    writeFileSync('outeffhop.config.json', '{ "tagret": "ort", "provider": "tpu", "only": "x", "overwrite": "yes" }')
    const { code, err } = await run('models/bert.onnx', { OUTEFFHOP_TARGET: 'tflite' })
    expect(code).toBe(2)
    const { out } = await run('models/bert.onnx --json')
    expect(JSON.parse(out).error).toMatchObject({ code: 'settings-wrong', exitCode: 2 })
    for (const words of [
      '"tagret" in outeffhop.config.json is no setting (did you mean "target"?)',
      '"provider" in outeffhop.config.json is any, cpu, cuda or webgpu, not "tpu"',
      '"only" in outeffhop.config.json is a list',
      '"overwrite" in outeffhop.config.json is true or false, not "yes"',
      '"OUTEFFHOP_TARGET" is ort, tensorrt or onnx, not "tflite"',
    ]) {
      expect(err).toContain(words)
    }
  })

  it.each([
    ['json', '{ "target": ', 'JSON'],
    ['mjs', 'throw new Error("no luck")', 'no luck'],
    ['mjs', 'export const config = {}', 'no default export'],
    ['json', '{ "command": "explain" }', '"command" is convert or quantize, not "explain"'],
  ])('.%s that cannot be used is named: %s', async (extension, text, words) => {
    writeFileSync(`outeffhop.config.${extension}`, text)
    const { code, err, out } = await run('models/bert.onnx --dry-run --json')
    expect(code).toBe(2)
    expect(JSON.parse(out).error.code).toBe('config-unreadable')
    expect(err).toContain(`outeffhop.config.${extension}`)
    expect(err).toContain(words)
  })

  it('named by --config has to be there', async () => {
    expect(await run('models/bert.onnx --config nowhere.mjs')).toMatchObject({ code: 2 })
  })
})

it('--depfile says what the output is made of, for make and ninja', async () => {
  writeFileSync('outeffhop.config.json', '{ "verify": false, "sinks": "zero", "acceptDrift": true }')
  copyFileSync('models/bert.onnx', 'a model.onnx')
  const words = ['a model.onnx', '-o', 'out $1.onnx', '--depfile', 'out.d', '--synthetic', '--samples', '2']
  const world = recordedWorld()
  expect({ code: await main(words, world), err: world.err() }).toMatchObject({ code: 0 })
  const rule = `out\\ $$1.onnx: a\\ model.onnx \\\n  ${join(folder, 'outeffhop.config.json')}\n`
  expect(readFileSync('out.d', 'utf8')).toBe(rule)
  writeFileSync('Makefile', `all: out\\ $$1.onnx\ninclude out.d\nout\\ $$1.onnx:\n\t@echo made again\n`)
  const make = () => spawnSync('make', [], { encoding: 'utf8' })
  if (make().error) return console.warn('make is not installed: the rule was not tried')
  expect(make().stdout).not.toContain('made again')
  utimesSync('a model.onnx', new Date(), new Date(Date.now() + 5000))
  expect(make().stdout).toContain('made again')
})

it('without a config file no model is a usage error, and no words at all print the help', async () => {
  expect(await run('convert')).toMatchObject({ code: 2, err: expect.stringContaining('no model is named') })
  expect(await run('')).toMatchObject({ code: 2, err: expect.stringContaining('MODEL [-o FILE]') })
})

it('the JSON Schema of the package is the one of the flags', async () => {
  const text = `${JSON.stringify(configSchema(), null, 2)}\n`
  await expect(text).toMatchFileSnapshot('../src/config/config.schema.json')
})
