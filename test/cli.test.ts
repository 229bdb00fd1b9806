import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { passes } from '../passes/index.ts'
import { main } from '../src/cli/main.ts'
import { modelToBytes, openModel, parseModel } from '../src/onnx/index.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import type { WorldSettings } from './support/world.ts'
import { recordedWorld } from './support/world.ts'

const attention = (names: readonly string[], rest = '') => `<ir_version: 8, opset_import: ["" : 17, "acme" : 1]>
g (float[S,4] q, float[4,T] k, float[T,4] v) => (${names.map((_, i) => `float[S,4] y${i}`).join(', ')}${rest && ', float[S,4] z'}) {
${names
  .map(
    (name, i) => `   s${i} = MatMul (q, k)
   ["${name}"] p${i} = Softmax <axis = -1> (s${i})
   y${i} = MatMul (p${i}, v)`,
  )
  .join('\n')}
   ${rest}
}`
const review = '["/fused"] z = acme.Attention (q, k, v)'
const verified = installedRuntime() !== undefined

const home = process.cwd()
let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-cli-'))
  process.chdir(folder)
  write('model.onnx', attention(['/layer.0/Softmax', '/layer.1/Softmax']))
})
afterEach(() => {
  process.chdir(home)
  rmSync(folder, { recursive: true, force: true })
})

function write(name: string, text: string): void {
  writeFileSync(name, modelToBytes(parseModel(text)))
}

async function run(line: string, settings: WorldSettings = {}) {
  const world = recordedWorld(settings)
  const code = await main(
    line.split(' ').filter((word) => word !== ''),
    world,
  )
  return { code, out: world.out(), err: world.err(), json: () => JSON.parse(world.out()) }
}

describe('outeffhop-convert MODEL', () => {
  it('writes NAME.outeffhop.onnx beside the model and says what was done', async () => {
    const { code, out, err } = await run('model.onnx')
    expect(code).toBe(0)
    expect(err).toBe('')
    expect(out).toContain(
      'converted  /layer.{0..1}/Softmax  (2)  zero-key (a zero row of the keys gives the extra score)',
    )
    expect(out).toContain('2 converted to Softmax1.')
    expect(out).toMatch(/Wrote model\.outeffhop\.onnx \(.*\) for ONNX Runtime 1\.\d+ and later\./)
    expect(out).toContain('sink: zero, not verified.')
    expect(out.includes('It loads and runs.')).toBe(verified)
    expect(readdirSync('.').sort()).toEqual(['model.onnx', 'model.outeffhop.onnx'])
  })

  it('writes where -o says, and replaces a file only with --overwrite', async () => {
    expect((await run('model.onnx -o other.onnx --no-verify')).code).toBe(0)
    const first = readFileSync('other.onnx')
    expect((await run('model.onnx -o other.onnx --no-verify --sink -2')).code).toBe(6)
    expect(readFileSync('other.onnx')).toEqual(first)
    expect((await run('model.onnx -o other.onnx --no-verify --sink -2 --overwrite')).code).toBe(0)
    expect(readFileSync('other.onnx')).not.toEqual(first)
  })

  it('gives the same bytes for the same input every time', async () => {
    await run('model.onnx -o a.onnx --no-verify')
    await run('model.onnx -o b.onnx --no-verify')
    expect(readFileSync('a.onnx')).toEqual(readFileSync('b.onnx'))
  })

  it('prints one JSON document with the documented names', async () => {
    const { code, json, err } = await run('model.onnx --json --hash')
    expect([code, err]).toEqual([0, ''])
    const document = json()
    expect(document).toMatchObject({
      schema: 1,
      command: 'convert',
      model: { path: 'model.onnx', bytes: statSync('model.onnx').size, irVersion: 8, opsets: { '': 17, acme: 1 } },
      target: { name: 'ort', version: '1.20' },
      requires: { runtime: expect.any(String), provider: null },
      sink: 'zero, not verified',
      counts: { sites: 2, attention: 2, converted: 2, already: 0, left: 0, review: 0 },
      warnings: [],
    })
    expect(document.sites[0]).toMatchObject({
      node: '/layer.0/Softmax',
      graph: '',
      verdict: 'attention',
      reason: null,
      message: expect.stringContaining('/layer.0/Softmax'),
      converted: true,
      form: 'zero-key',
    })
    expect(document.files).toEqual([
      {
        path: 'model.outeffhop.onnx',
        bytes: statSync('model.outeffhop.onnx').size,
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    ])
    expect(document.model.sha256).toMatch(/^[0-9a-f]{64}$/)
  })

  it('prints the hashes that --hash asks for, in the text as in the document', async () => {
    const document = (await run('model.onnx --json --hash --no-verify')).json()
    const { out } = await run('model.onnx --hash --no-verify --overwrite')
    for (const { sha256, path } of [document.model, ...document.files]) expect(out).toContain(`${sha256}  ${path}\n`)
    expect((await run('explain model.onnx --hash')).out).toContain(`${document.model.sha256}  model.onnx\n`)
  })

  it('says why another form was not taken', async () => {
    write('odd.onnx', attention(['/softmax']).replace('"" : 17', '"" : 7'))
    const { out } = await run('odd.onnx --dry-run')
    expect(out).toContain('primitives (zero-key cannot be used because Expand exists from opset 8 on)')
  })

  it('leaves hashes out unless they are asked for', async () => {
    const document = (await run('model.onnx --json --no-verify')).json()
    expect([document.model.sha256, document.files[0].sha256]).toEqual([null, null])
  })

  it('converts only what --only selects and --except does not', async () => {
    const one = (await run('model.onnx --json --no-verify --only */layer.1/* -o a.onnx')).json()
    expect(one.sites.map((site: { converted: boolean }) => site.converted)).toEqual([false, true])
    const other = (await run('model.onnx --json --no-verify --except /layer.1/Softmax -o b.onnx')).json()
    expect(other.sites.map((site: { converted: boolean }) => site.converted)).toEqual([true, false])
  })

  it('warns of a pattern that matches nothing', async () => {
    const { err } = await run('model.onnx --no-verify --except /layer.7/*')
    expect(err).toContain('warning: "/layer.7/*" is the name of no softmax in the model\n')
    const list = await run('model.onnx --dry-run --only /layer.0/Softmax,/layer.1/Softmax --allow-none')
    expect(list.err).toContain('in the model; several names are given one by one, or as {a,b}\n')
    const names = '--only /layer.0/Softmax --only /layer.1/Softmax'
    expect((await run(`model.onnx --dry-run ${names}`)).out).toContain('2 converted to Softmax1')
  })

  it('exits 1 where nothing was converted, unless --allow-none', async () => {
    write('relu.onnx', '<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Relu (x) }')
    expect((await run('relu.onnx')).code).toBe(1)
    expect(existsSync('relu.outeffhop.onnx')).toBe(false)
    expect((await run('relu.onnx --allow-none --no-verify')).code).toBe(0)
    expect(readFileSync('relu.outeffhop.onnx')).toEqual(readFileSync('relu.onnx'))
  })

  it('exits 0 for a model that is all Softmax1, says so, and writes a file only where one is named', async () => {
    await run('model.onnx --no-verify')
    const again = await run('model.outeffhop.onnx')
    expect(again.code).toBe(0)
    expect(again.out).toContain('It is a Softmax1 model already. Nothing was written.')
    expect(existsSync('model.outeffhop.outeffhop.onnx')).toBe(false)
    expect((await run('model.outeffhop.onnx --no-verify -o copy.onnx')).code).toBe(0)
    expect(readFileSync('copy.onnx')).toEqual(readFileSync('model.outeffhop.onnx'))
    expect((await run('model.outeffhop.onnx --json --dry-run')).json().counts).toMatchObject({
      converted: 0,
      already: 2,
    })
  })

  it('exits 1 with --require-all while a site is left for review', async () => {
    write('mixed.onnx', attention(['/softmax'], review))
    const { code, json } = await run('mixed.onnx --require-all --json')
    expect(code).toBe(1)
    expect(json().counts).toEqual({ sites: 2, attention: 1, converted: 1, already: 0, left: 0, review: 1 })
    expect(json().error).toMatchObject({ code: 'site-left', message: expect.stringContaining('"/fused"') })
    expect(existsSync('mixed.outeffhop.onnx')).toBe(false)
    expect((await run('model.onnx --require-all --no-verify')).code).toBe(0)
  })

  it('writes nothing with --dry-run, not even over an existing file', async () => {
    const { code, out } = await run('model.onnx --dry-run')
    expect(code).toBe(0)
    expect(out).toContain('Nothing was written: this is a dry run.')
    expect(readdirSync('.')).toEqual(['model.onnx'])
  })

  it('writes text for --stop-after and for every pass into the folder of --dump', async () => {
    const { code, out } = await run('model.onnx --stop-after hopfield --dump steps')
    expect(code).toBe(0)
    expect(out).toContain('Wrote model.outeffhop.txt')
    expect(readdirSync('steps')).toEqual(['00-input.txt', '01-softmax-to-softmax1.txt'])
    const { graph } = parseModel(readFileSync('model.outeffhop.txt', 'utf8'))
    expect(Array.from(graph.nodes(), (node) => node.op)).toContain('outeffhop::Softmax1')
    expect(existsSync('model.outeffhop.onnx')).toBe(false)
  })

  it('says what was found where --stop-after ends before anything is converted', async () => {
    const { code, out } = await run('model.onnx --stop-after recognize')
    expect(code).toBe(0)
    expect(out).toMatch(/^ {2}attention {2}\/layer\.\{0\.\.1\}\/Softmax {2}\(2\)/m)
    expect(out).toContain('2 sites: 2 attention.')
    expect(out).not.toContain('converted to Softmax1')
    expect(out).not.toContain('no softmax')
  })

  it('names the site of a warning, and says what is the same for every layer once', async () => {
    write(
      'probabilities.onnx',
      attention(['/layer.0/Softmax', '/layer.1/Softmax']).replace('=> (', '=> (float[B,H,S,T] p0, '),
    )
    const { err } = await run('probabilities.onnx --no-verify --form gqa --target-version 1.20')
    expect(err.split('\n')).toEqual([
      'warning: "/layer.0/Softmax": Its probabilities are the graph output "p0", which changes too.',
      expect.stringMatching(
        /^warning: "\/layer\.\{0\.\.1\}\/Softmax" \(2\): the form "gqa" was not taken: it needs ort 1\.30/,
      ),
      '',
    ])
  })

  it('warns where the target asked for is older than the model, which is converted all the same', async () => {
    const newer = attention(['/softmax'])
      .replace('ir_version: 8', 'ir_version: 10')
      .replace(/"" : 17/, '"" : 23')
    write('newer.onnx', newer)
    const { code, err, json } = await run('newer.onnx --no-verify --json --target-version 1.20')
    expect([code, err]).toEqual([0, ''])
    const { warnings, counts, requires } = json()
    expect(counts).toMatchObject({ sites: 1, converted: 1 })
    expect(requires.runtime).toBe('1.23')
    expect(warnings.map((warning: { code: string }) => warning.code)).toEqual(['target-too-old'])
    const said = await run('newer.onnx --no-verify --target-version 1.20 --overwrite')
    expect(said.err).toBe('warning: ort 1.20 does not load this model: its opset 23 needs 1.23\n')
    const unasked = await run('newer.onnx --no-verify --overwrite')
    expect(unasked.err).toBe('warning: the model itself needs ort 1.23, and so does the result\n')
  })

  it('puts weights beside the model with --external-data always', async () => {
    const weights = '<float[64,64] w = ...> {\n   t = MatMul (q, w)'
    const text = attention(['/softmax'])
      .replaceAll('4', '64')
      .replace(' {\n', ` ${weights}\n`)
      .replace('MatMul (q, k)', 'MatMul (t, k)')
    const fill = () => openFloat(64 * 64)
    writeFileSync('large.onnx', modelToBytes(parseModel(text.replace('(float[S,', '(float[S,'), { fill })))
    const { code, json } = await run('large.onnx --json --external-data always')
    expect(code).toBe(0)
    expect(json().files.map((file: { path: string }) => file.path)).toHaveLength(2)
    for (const file of json().files) expect(statSync(file.path).size).toBe(file.bytes)
    const written = openModel('large.outeffhop.onnx').graph.resolve('w')?.initializer
    expect(written?.toNumbers()).toEqual(openFloat(64 * 64).toNumbers())
  })

  it.skipIf(process.platform !== 'linux')('says that a place cannot be written to', async () => {
    const { code, json } = await run('model.onnx --no-verify --json -o /proc/model.onnx')
    expect(code).toBe(6)
    expect(['output-refused', 'output-folder']).toContain(json().error.code)
    expect(json().error.message).toContain('/proc')
  })

  it('asks for a report when it finds a fault of its own', async () => {
    const world = recordedWorld()
    const broken = { ...world, stdout: { ...world.stdout, write: () => JSON.parse('{') } }
    expect(await main(['explain', 'model.onnx'], broken)).toBe(70)
    expect(world.err()).toContain('error: this is a fault of outeffhop-convert, please report it:\nSyntaxError')
  })

  it.skipIf(!verified)('refuses a result that does not load, and leaves nothing behind', async () => {
    write('odd.onnx', attention(['/softmax'], '["/odd"] z = acme.NoSuchOperator (q)'))
    const { code, err } = await run('odd.onnx')
    expect(code).toBe(5)
    expect(err).toContain('neither the model nor its conversion loads in ONNX Runtime here')
    expect(err).toContain('--no-verify')
    expect(readdirSync('.').sort()).toEqual(['model.onnx', 'odd.onnx'])
    expect((await run('odd.onnx --no-verify')).code).toBe(0)
  })

  it.skipIf(!verified)('says so when the result loads but cannot be run on generated input', async () => {
    const never = attention(['/softmax'], 'r = Constant <value_ints = [7, 9]> () z = Reshape (q, r)')
    write('fixed.onnx', never)
    const { code, json } = await run('fixed.onnx --json')
    expect(code).toBe(0)
    expect(json().verification).toMatchObject({ loaded: true, ran: false })
    expect(json().warnings.map((warning: { code: string }) => warning.code)).toContain('not-run')
  })

  it('stops at Ctrl-C with exit code 130 and leaves nothing behind', async () => {
    let time = 0
    // Two seconds pass between two looks at the clock, so that progress is shown from the start.
    const world = recordedWorld({ clock: () => (time += 2000) })
    const { write: print } = world.stderr
    const stderr = {
      ...world.stderr,
      write: (text: string) => {
        print(text)
        if (text.startsWith('converting')) world.interrupt()
      },
    }
    expect(await main(['model.onnx'], { ...world, stderr })).toBe(130)
    expect(world.err()).toContain('error: interrupted; nothing was written')
    expect(readdirSync('.')).toEqual(['model.onnx'])
  })
})

describe('explain', () => {
  it('gives every softmax a verdict and a reason, and writes nothing', async () => {
    write('mixed.onnx', attention(['/softmax'], review))
    const { code, out } = await run('explain mixed.onnx')
    expect(code).toBe(0)
    expect(out).toContain('attention  /softmax  turns the scores of')
    expect(out).toContain('review     /fused')
    expect(out).toContain('2 sites: 1 attention, 1 to review.')
    const document = (await run('explain mixed.onnx --json')).json()
    expect(document).toMatchObject({ schema: 1, command: 'explain', files: [] })
    expect(document.sites.map((site: { verdict: string }) => site.verdict)).toEqual(['attention', 'review'])
    expect(document.counts).toEqual({ sites: 2, attention: 1, converted: 0, already: 0, left: 1, review: 1 })
    expect(readdirSync('.').sort()).toEqual(['mixed.onnx', 'model.onnx'])
  })
})

describe('inspect', () => {
  it('says what is in a model', async () => {
    const { out } = await run('inspect model.onnx')
    expect(out).toContain('opsets ai.onnx 17, acme 1')
    expect(out).toContain('MatMul 4, Softmax 2')
    expect(out).toContain('float[S,4] q')
    expect((await run('inspect model.onnx --json')).json()).toMatchObject({
      command: 'inspect',
      nodes: 6,
      inputs: [{ name: 'q', type: 'float[S,4]' }, {}, {}],
    })
  })

  it('prints a model as text that can be read back', async () => {
    const { out } = await run('inspect model.onnx --text')
    expect(modelToBytes(parseModel(out))).toEqual(readFileSync('model.onnx'))
  })
})

describe('passes and targets', () => {
  it('list every pass in the order it runs', async () => {
    const { out } = await run('passes')
    const listed = out
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/)[1])
    expect(listed).toHaveLength(passes.length)
    expect(listed.indexOf('softmax-to-softmax1')).toBeLessThan(listed.indexOf('lower-softmax1'))
    expect((await run('passes --json')).json().passes.map((pass: { name: string }) => pass.name)).toEqual(listed)
  })

  it('list every target with its forms', async () => {
    const { out } = await run('targets')
    for (const word of ['ort', 'onnx', 'zero-key', 'primitives', 'default --target-version 1.20'])
      expect(out).toContain(word)
    expect((await run('targets --json')).json().targets.map((target: { name: string }) => target.name)).toEqual([
      'ort',
      'tensorrt',
      'onnx',
    ])
  })

  it('decide the form', async () => {
    const document = (await run('model.onnx --json --no-verify --target onnx --form primitives')).json()
    expect(document.target.name).toBe('onnx')
    expect(document.sites[0].form).toBe('primitives')
  })
})

describe('usage', () => {
  it.each([
    ['', 2, 'outeffhop-convert MODEL [-o FILE]'],
    ['--dry-run', 2, 'error: no model is named\n  Name an ONNX file behind the command, or models in a config file.'],
    ['explain', 2, 'error: no model is named'],
    ['model.onnx --targt onnx', 2, 'Did you mean --target?'],
    ['model.onnx -z', 2, 'there is no flag -z'],
    [
      'model.onnx --target onxn',
      2,
      'error: --target is ort, tensorrt or onnx, not "onxn"\n  Did you mean --target onnx?',
    ],
    ['model.onnx --include foo', 2, 'error: --include is pooling, channel or static-memories, not "foo"'],
    ['model.onnx --stop-after lower', 2, '--stop-after is recognize, hopfield, adapt or quantize, not "lower"'],
    ['model.onnx --dry-run=yes', 2, '--dry-run takes no value, and was given "yes"'],
    ['model.onnx --target-version new', 2, '"new" is not a version of the target "ort"'],
    ['model.onnx --target onnx --target-version 1.20', 2, 'the target "onnx" has no versions'],
    ['model.onnx --sinks deep', 2, '--sinks "deep" is neither calibrated nor zero nor a number'],
    ['model.onnx --sink -inf', 2, 'is plain softmax'],
    ['model.onnx --sink 1e400', 2, 'a sink of Infinity is not'],
    ['model.onnx --sink', 2, 'error: --sink needs a value behind it'],
    ['model.onnx -o', 2, 'error: -o needs a value behind it'],
    ['-', 2, 'a model cannot be read from a pipe'],
    ['frobnicate model.onnx', 2, 'there is no command "frobnicate"'],
    ['model.onnx -o a.onnx -o b.onnx', 2, '--output is given more than once'],
    ['model.onnx other.onnx', 2, '"other.onnx" is one argument too many'],
    ['explian model.onnx', 2, 'Did you mean "explain"?'],
    ['explain model.onnx --overwrite', 2, 'there is no flag --overwrite'],
  ])('%j exits %i', async (line, expected, message) => {
    const { code, err, out } = await run(line)
    expect(code).toBe(expected)
    expect(err).toContain(message)
    expect(out).toBe('')
    expect(readdirSync('.')).toEqual(['model.onnx'])
  })

  it('prints version and help on stdout', async () => {
    const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))
    expect(await run('--version')).toMatchObject({ code: 0, out: `${version}\n` })
    expect(await run('explain --version')).toMatchObject({ code: 0, out: `${version}\n` })
    const help = await run('--help')
    expect(help.code).toBe(0)
    for (const word of ['explain <model>', '--external-data', '--no-verify', 'Exit codes:'])
      expect(help.out).toContain(word)
  })

  it('prints a completion script', async () => {
    const { code, out } = await run('completion', { env: { SHELL: '/bin/bash' } })
    expect(code).toBe(0)
    expect(out).toContain('outeffhop-convert')
    expect(out).toContain('--get-yargs-completions')
  })

  it.each([
    ['--ta', ['--target', '--target-version']],
    ['model.onnx --ver', ['--version']],
    ['model.onnx --no-', ['--no-smooth', '--no-symmetrize', '--no-bias-correction', '--no-verify']],
    ['model.onnx --target o', ['ort', 'onnx']],
    ['convert model.onnx --provider web', ['webgpu']],
    ['model.onnx --output mo', []],
    ['explain model.onnx --o', ['--only']],
    ['inspect --t', ['--text']],
    ['ex', ['explain']],
    ['explain mo', []],
  ])('completes %j', async (line, expected) => {
    const { code, out } = await run(`--get-yargs-completions outeffhop-convert ${line}`)
    expect(code).toBe(0)
    expect(out.split('\n').filter((word) => word !== '')).toEqual(expected)
  })
})

describe('the terminal', () => {
  const colour = '\u001b['

  it('has colours on a terminal only, and not where NO_COLOR is set or --no-color is given', async () => {
    expect((await run('explain model.onnx')).out).not.toContain(colour)
    expect((await run('explain model.onnx', { isTTY: true })).out).toContain(colour)
    expect((await run('explain model.onnx', { isTTY: true, env: { NO_COLOR: '1' } })).out).not.toContain(colour)
    expect((await run('explain model.onnx', { isTTY: true, env: { TERM: 'dumb' } })).out).not.toContain(colour)
    expect((await run('explain model.onnx --no-color', { isTTY: true })).out).not.toContain(colour)
    expect((await run('explain model.onnx', { env: { FORCE_COLOR: '1' } })).out).toContain(colour)
    expect((await run('missing.onnx --no-color', { isTTY: true })).err).not.toContain(colour)
  })

  it('shows progress on stderr once work takes more than a second, redrawn on a terminal', async () => {
    const clock = () => {
      let time = 0
      return () => (time += 600)
    }
    expect((await run('model.onnx --no-verify -o a.onnx')).err).toBe('')
    expect((await run('model.onnx --no-verify -o b.onnx', { clock: clock() })).err).toMatch(
      /^(converting|writing)….* s\n/,
    )
    const tty = (await run('model.onnx --no-verify --no-color -o c.onnx', { clock: clock(), isTTY: true })).err
    expect(tty.replace('\r\u001b[K', '')).toMatch(/^(converting|writing)….* s/)
    expect(tty.startsWith('\r\u001b[K')).toBe(true)
    expect(tty.endsWith('\r\u001b[K')).toBe(true)
  })

  it('is silent with --quiet unless something is wrong', async () => {
    expect(await run('model.onnx --quiet --no-verify')).toMatchObject({ code: 0, out: '', err: '' })
    expect((await run('missing.onnx --quiet')).err).toContain('"missing.onnx" does not exist')
  })
})

function openFloat(size: number) {
  const numbers = Array.from({ length: size }, (_, i) => (i % 7) / 8)
  const text = `<ir_version: 8, opset_import: ["" : 17]> g () => () <float[64,64] w = {${numbers.join(',')}}> {}`
  return parseModel(text).graph.resolve('w')?.initializer ?? expect.fail('no tensor')
}
