import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { SaxesParser } from 'saxes'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { main } from '../src/cli/main.ts'
import { modelToBytes, parseModel } from '../src/onnx/index.ts'
import type { CheckDocument, CheckedFact } from '../src/report/index.ts'
import { annotationCommand, checkAnnotations, checkJunit, checkSummary } from '../src/report/index.ts'
import { bin, ensureBuilt, root } from './support/built.ts'
import { recordedWorld } from './support/world.ts'

/** An element of a document: its attributes, elements and text. */
interface Element {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: Element[]
  text: string
}

/** What a parser of XML 1.0 makes of a text; throws where it is not well-formed. */
function parseXml(text: string): Element {
  const parser = new SaxesParser()
  const top: Element = { name: '', attributes: {}, children: [], text: '' }
  const open = [top]
  parser.on('error', (error) => {
    throw error
  })
  parser.on('opentag', ({ name, attributes }) => {
    const element: Element = { name, attributes: attributes as Record<string, string>, children: [], text: '' }
    open.at(-1)?.children.push(element)
    open.push(element)
  })
  parser.on('text', (part) => {
    ;(open.at(-1) as Element).text += part
  })
  parser.on('closetag', () => {
    open.pop()
  })
  parser.write(text).close()
  return top.children[0] as Element
}

const nastyWith = (unsayable: readonly string[]) => `a<b>&"quoted"'\n\tline ]]> | \`x\` ${unsayable.join('')} %0A,:é😀`
const unsayable = ['\u0000', '\u0007', '\uFFFE', '\uD800']
const nasty = nastyWith(unsayable)
/** What XML 1.0 can say of it. */
const said = nastyWith(unsayable.map(() => '\uFFFD'))

function fact(name: string, ok: boolean): CheckedFact {
  return { fact: name, group: 'graph', ok, was: '1', is: ok ? '1' : nasty, todo: ok ? null : 'record it' }
}

const base = { cached: false, notes: [nasty], error: null } as const
const error = { code: 'model-missing', kind: 'model', message: nasty, hint: 'Check the path.' } as const
const document: CheckDocument = {
  ...{ schema: 1, command: 'check', lock: 'models/outeffhop.lock.json', written: false, ok: false },
  models: [
    { ...base, name: nasty, model: 'a', outcome: 'drift', facts: [fact('good', true), fact(nasty, false)] },
    { ...base, name: 'b', model: 'b', outcome: 'failed', facts: [], error },
    { ...base, name: 'c', model: 'c', outcome: 'recorded', facts: [] },
  ],
}

describe('JUnit', () => {
  it('is well-formed XML that says every fact, whatever names contain', () => {
    const suites = parseXml(checkJunit(document))
    expect(suites.name).toBe('testsuites')
    expect(suites.attributes).toMatchObject({ tests: '4', failures: '1', errors: '1' })
    const [first, second, third] = suites.children as [Element, Element, Element]
    expect(first.attributes).toEqual({ name: said, tests: '2', failures: '1', errors: '0' })
    expect(first.children.map(({ attributes }) => attributes.name)).toEqual(['good', said])
    const [failure] = (first.children[1] as Element).children as [Element]
    expect(failure.name).toBe('failure')
    expect(failure.attributes.message).toBe(`${said}: was 1, is ${said}; record it`)
    expect(failure.text).toBe(failure.attributes.message)
    expect(second.children[0]?.children[0]?.name).toBe('error')
    expect(third.attributes).toMatchObject({ tests: '1', failures: '0', errors: '0' })
  })
})

describe('GitHub', () => {
  it('is given one line for an annotation, with everything escaped that would end it', () => {
    const [first, second] = checkAnnotations(document, (name) => (name === 'b' ? 7 : undefined)).map(annotationCommand)
    for (const line of [first, second] as string[]) {
      expect(line).not.toMatch(/[\n\r]/)
      const [, properties = '', message = ''] = /^::error ([^:]*)::(.*)$/.exec(line) ?? []
      expect(message).not.toBe('')
      for (const property of properties.split(',')) expect(property).toMatch(/^(file|line|title)=/)
      const undone = decodeAll(message)
      expect(undone).toContain(nasty)
    }
    expect(second).toContain('file=models/outeffhop.lock.json,line=7,title=b cannot be checked::')
  })

  it('is given ten annotations at most, the last of which says how many more there are', () => {
    const facts = Array.from({ length: 30 }, (_, i) => fact(`fact ${i}`, false))
    const many: CheckDocument = { ...document, models: [{ ...base, name: 'a', model: 'a', outcome: 'drift', facts }] }
    const annotations = checkAnnotations(many, () => 1)
    expect(annotations).toHaveLength(10)
    expect(annotations.at(-1)?.message).toBe('and 21 more')
  })

  it('is given a summary whose table no name breaks', () => {
    const summary = checkSummary(document)
    const rows = summary.split('\n').filter((line) => line.startsWith('|'))
    expect(rows).toHaveLength(3)
    for (const row of rows) expect(row.replace(/\\./g, '').split('|')).toHaveLength(6)
    expect(summary.replace(/\\[<]/g, '')).not.toMatch(/<b>/)
  })

  it('shows of a thousand drifts what fits into a summary', () => {
    const facts = Array.from({ length: 1000 }, (_, i) => fact(`fact ${i} ${'x'.repeat(500)}`, false))
    const many: CheckDocument = { ...document, models: [{ ...base, name: 'a', model: 'a', outcome: 'drift', facts }] }
    expect(Buffer.byteLength(checkSummary(many))).toBeLessThan(1 << 20)
    expect(checkSummary(many)).toContain('and 800 facts more')
  })
})

/** What GitHub makes of the message of a workflow command. */
function decodeAll(text: string): string {
  return text.replaceAll('%0A', '\n').replaceAll('%0D', '\r').replaceAll('%25', '%')
}

const model = (activation: string) =>
  modelToBytes(
    parseModel(`<ir_version: 8, opset_import: ["" : 17]> g (float[B,4,8] x) => (y) {
   kt = Transpose <perm = [0, 2, 1]> (x)
   s = MatMul (x, kt)
   ["/Softmax"] p = Softmax <axis = -1> (s)
   o = MatMul (p, x)
   y = ${activation} (o)
}`),
  )

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-ci-'))
  writeFileSync(join(folder, 'model.onnx'), model('Abs'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('check where GitHub runs it', () => {
  const home = process.cwd()
  beforeEach(() => process.chdir(folder))
  afterEach(() => process.chdir(home))
  const run = async (line: string, more = {}) => {
    const env = { GITHUB_ACTIONS: 'true', GITHUB_STEP_SUMMARY: 'summary.md', OUTEFFHOP_CACHE_DIR: 'cache', ...more }
    const world = recordedWorld({ env })
    return { code: await main(line.split(' '), world), out: world.out(), err: world.err() }
  }

  it('prints annotations beside the entry on stderr, and adds to the summary of the job', async () => {
    writeFileSync('summary.md', 'before\n')
    await run('check model.onnx --update --no-verify')
    writeFileSync('model.onnx', model('Relu'))
    const { code, out, err } = await run('check --json --junit result.xml')
    expect(code).toBe(1)
    expect(JSON.parse(out).ok).toBe(false)
    const lines = err.split('\n').filter((line) => line.startsWith('::'))
    expect(lines.length).toBeGreaterThan(1)
    for (const line of lines) expect(line).toMatch(/^::error file=outeffhop.lock.json,line=4,title=model.onnx::/)
    expect(readFileSync('summary.md', 'utf8')).toMatch(/^before\n### outeffhop-convert check: unchanged\n/)
    expect(readFileSync('summary.md', 'utf8')).toContain('| operator Relu |  | 1 node |')
    const suites = parseXml(readFileSync('result.xml', 'utf8'))
    expect(Number(suites.attributes.failures)).toBe(lines.length)
    // GitHub knows files by their paths in the repository.
    const inside = await run('check', { GITHUB_WORKSPACE: dirname(process.cwd()) })
    expect(inside.err).toContain(`::error file=${basename(folder)}/outeffhop.lock.json,line=4,`)
  })
})

interface Step {
  readonly name?: string
  readonly uses?: string
  readonly run?: string
  readonly shell?: string
  readonly env?: Readonly<Record<string, string>>
  readonly with?: Readonly<Record<string, string>>
  readonly 'working-directory'?: string
}

interface Action {
  readonly inputs: Readonly<Record<string, { readonly default: string }>>
  readonly runs: { readonly using: string; readonly steps: readonly Step[] }
}

const action: Action = parse(readFileSync(join(root, 'action.yml'), 'utf8'))
const workflow: { readonly jobs: Readonly<Record<string, { readonly steps: readonly Step[] }>> } = parse(
  readFileSync(join(root, 'fixtures/ci/check-models.yml'), 'utf8'),
)

describe.skipIf(process.platform === 'win32')('the example workflow', () => {
  beforeAll(ensureBuilt)
  const steps = workflow.jobs.check?.steps as readonly Step[]

  /** Runs the commands of the steps as a runner would, in a project that has the package; stops where one fails. */
  function runSteps(list: readonly Step[], inputs: Readonly<Record<string, string>> = {}): number {
    for (const step of list) {
      if (step.run === 'npm ci') continue
      const own = step.uses === './node_modules/outeffhop-convert'
      const code = own ? runSteps(action.runs.steps, { ...defaults(), ...step.with }) : runStep(step, inputs)
      if (code !== 0) return code
    }
    return 0
  }

  function runStep(
    { run, env = {}, 'working-directory': place = '.' }: Step,
    inputs: Readonly<Record<string, string>>,
  ) {
    if (run === undefined) return 0
    const given = Object.entries(env).map(([name, value]) => [name, evaluated(value, inputs)])
    const { status, stderr } = spawnSync('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', run], {
      cwd: join(folder, evaluated(place, inputs)),
      encoding: 'utf8',
      env: { ...process.env, ...runner, ...Object.fromEntries(given) },
    })
    appendFileSync(join(folder, 'log.txt'), stderr)
    return status ?? 1
  }

  const runner = {
    GITHUB_ACTIONS: 'true',
    GITHUB_WORKSPACE: '',
    get GITHUB_STEP_SUMMARY() {
      return join(folder, 'summary.md')
    },
  }
  const defaults = () => Object.fromEntries(Object.entries(action.inputs).map(([name, input]) => [name, input.default]))

  /** The expressions that the action has outside of its first step. */
  function evaluated(text: string, inputs: Readonly<Record<string, string>>): string {
    return text.replace(/\$\{\{ (.*?) \}\}/g, (_, expression: string) => {
      if (expression === 'runner.temp') return join(folder, 'temp')
      const [, name = ''] = /^inputs\.([\w-]+)$/.exec(expression) ?? []
      if (name in inputs) return inputs[name] as string
      throw new Error(`the test does not know "${expression}"`)
    })
  }

  const installed = () => {
    mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true })
    symlinkSync(root, join(folder, 'node_modules/outeffhop-convert'), 'junction')
    symlinkSync('../outeffhop-convert/bin/outeffhop-convert.js', join(folder, 'node_modules/.bin/outeffhop-convert'))
    writeFileSync(join(folder, 'package.json'), '{ "name": "project", "version": "1.0.0", "private": true }')
  }
  const record = () => {
    const words = ['check', 'model.onnx', '--update', '--no-verify', '--no-cache']
    expect(spawnSync(process.execPath, [bin, ...words], { cwd: folder }).status).toBe(0)
  }

  it('passes where nothing changed, keeps the cache where the action restores it, and writes JUnit', () => {
    installed()
    record()
    expect(runSteps(steps)).toBe(0)
    const kept = action.runs.steps.find(({ uses }) => uses?.startsWith('actions/cache@'))?.with?.path as string
    expect(existsSync(evaluated(kept, {}))).toBe(true)
    for (const name of ['models.xml', 'models-again.xml'])
      expect(parseXml(readFileSync(join(folder, name), 'utf8')).attributes.failures).toBe('0')
    expect(readFileSync(join(folder, 'summary.md'), 'utf8')).toContain('check: unchanged')
  })

  it('fails where a model became something else, says so on the job, and still writes JUnit', () => {
    installed()
    record()
    writeFileSync(join(folder, 'model.onnx'), model('Relu'))
    expect(runSteps(steps)).toBe(1)
    expect(readFileSync(join(folder, 'log.txt'), 'utf8')).toMatch(/^::error file=outeffhop\.lock\.json,line=4/m)
    expect(Number(parseXml(readFileSync(join(folder, 'models.xml'), 'utf8')).attributes.failures)).toBeGreaterThan(1)
  })

  it('has an action that takes names with spaces and nothing as a command', () => {
    installed()
    writeFileSync(join(folder, 'my $(touch owned) model.onnx'), model('Abs'))
    const words = ['check', 'my $(touch owned) model.onnx', '--update', '--no-verify', '--no-cache']
    expect(spawnSync(process.execPath, [bin, ...words], { cwd: folder }).status).toBe(0)
    expect(runSteps(action.runs.steps, { ...defaults(), models: 'my $(touch owned) model.onnx\n' })).toBe(0)
    expect(existsSync(join(folder, 'owned'))).toBe(false)
    expect(runSteps(action.runs.steps, { ...defaults(), models: 'other.onnx' })).toBe(2)
  })

  it('interpolates no input into a command', () => {
    for (const { run = '' } of [...steps, ...action.runs.steps]) expect(run).not.toContain('${{')
    expect(action.runs.using).toBe('composite')
  })
})
