import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { expect, test } from 'vitest'
import { passes } from '../passes/index.ts'
import { stages } from '../src/rewrite/index.ts'
import { targets } from '../src/targets/index.ts'

/**
 * Who may import whom: only downwards. A room may import itself and what its row names; everything may import `errors` and
 * `check-options`. `names` and `options` are single files beside the rooms.
 */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  wire: [],
  ir: [],
  onnx: ['wire', 'ir'],
  ops: ['ir'],
  attention: ['ops', 'ir'],
  targets: ['ir'],
  rewrite: ['attention', 'quantize', 'targets', 'ops', 'ir'],
  quantize: ['ops', 'ir'],
  runtime: ['onnx', 'ir'],
  data: ['onnx', 'runtime', 'ir'],
  calibrate: ['data', 'onnx', 'runtime', 'attention', 'rewrite', 'quantize', 'ops', 'ir'],
  compare: ['calibrate', 'data', 'onnx', 'runtime', 'rewrite', 'ops', 'ir'],
  emit: ['onnx', 'ir'],
  cache: ['onnx', 'runtime', 'ir'],
  // C++ and CUDA: imports nothing, and nothing imports it.
  kernels: [],
  report: ['onnx', 'calibrate', 'compare', 'quantize', 'attention', 'rewrite', 'targets', 'ir'],
  passes: ['attention', 'rewrite', 'quantize', 'targets', 'ops', 'ir'],
  check: ['src', 'cache', 'compare', 'data', 'report', 'runtime', 'onnx', 'ir'],
  config: ['src', 'data', 'quantize', 'rewrite', 'targets'],
  plugin: ['src', 'config', 'cache'],
  // The composition root: the files directly in src.
  src: [
    'passes',
    'config',
    'cache',
    'check',
    'calibrate',
    'compare',
    'data',
    'emit',
    'report',
    'runtime',
    'rewrite',
    'quantize',
    'targets',
    'attention',
    'ops',
    'onnx',
    'wire',
    'ir',
  ],
  cli: [
    'src',
    'config',
    'passes',
    'cache',
    'check',
    'calibrate',
    'compare',
    'data',
    'emit',
    'report',
    'runtime',
    'rewrite',
    'quantize',
    'targets',
    'attention',
    'onnx',
    'ir',
  ],
}

/** What says and what refuses the same in every room. */
const forAll = new Set(['errors.ts', 'check-options.ts'].map((file) => join('src', file)))

const root = resolve(import.meta.dirname, '..')

function files(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))
    .map((file) => join(folder, file))
}

const sources = [...files('src'), ...files('passes')]

/** `src/ir/node.ts` is in the room ir, `src/convert.ts` in src, `passes/x.ts` in passes. */
function roomOf(file: string): string {
  const [top, second, ...rest] = file.split(sep)
  return top === 'passes' || second === undefined ? 'passes' : rest.length === 0 ? 'src' : second
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((match) =>
    relative(root, resolve(root, dirname(file), match[1] as string)),
  )
}

test('imports go downwards only', () => {
  const wrong = sources.flatMap((file) => {
    const room = roomOf(file)
    return importsOf(file)
      .filter((target) => !forAll.has(target) && roomOf(target) !== room)
      .filter((target) => !mayImport[room]?.includes(roomOf(target)))
      .map((target) => `${file} imports ${target}`)
  })
  expect(wrong).toEqual([])
})

test('every folder of src has its row in the table', () => {
  const rooms = readdirSync(join(root, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  expect(rooms.map((entry) => entry.name).filter((name) => !(name in mayImport))).toEqual([])
})

test('only the command line touches the process, the console and the clock of the day', () => {
  const outside = /\b(process\.(exit|stdout|stderr|argv|on)|console\.|Date\.now|new Date\()/
  const code = (file: string): string =>
    readFileSync(join(root, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
  const wrong = sources.filter((file) => !['cli', 'runtime'].includes(roomOf(file)) && outside.test(code(file)))
  expect(wrong).toEqual([])
})

test('passes never touch files, processes or each other', () => {
  const wrong = files('passes')
    .filter((file) => !file.endsWith('index.ts'))
    .filter((file) => {
      const text = readFileSync(join(root, file), 'utf8')
      return /from 'node:/.test(text) || importsOf(file).some((target) => roomOf(target) === 'passes')
    })
  expect(wrong).toEqual([])
})

test('every pass file is in the list, under its own name, in the order of the stages', () => {
  const onDisk = readdirSync(join(root, 'passes'))
    .filter((file) => file.endsWith('.ts') && file !== 'index.ts')
    .map((file) => file.slice(0, -3))
  expect(passes.map((pass) => pass.name).sort()).toEqual(onDisk.sort())
  const order = passes.map((pass) => stages.indexOf(pass.stage))
  expect(order).toEqual([...order].sort((a, b) => a - b))
})

test('no pass names a target', () => {
  const names = [...targets.keys()].map((name) => new RegExp(`'${name}'`))
  const wrong = files('passes').filter((file) =>
    names.some((name) => name.test(readFileSync(join(root, file), 'utf8'))),
  )
  expect(wrong).toEqual([])
})

test('every pass has a fixture that changes and one that stays', () => {
  const missing = passes.flatMap((pass) => {
    const folder = join(root, 'fixtures', 'passes', pass.name)
    const cases = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith('.txt')) : []
    const stays = cases.filter((file) => file.startsWith('not-'))
    const changes = pass.effect.kind === 'reports-only' || cases.length > stays.length
    return changes && stays.length > 0 ? [] : [pass.name]
  })
  expect(missing).toEqual([])
})

test('passes/README.md lists the pipeline as it is', () => {
  const table = passes.map((pass) => `| ${pass.stage} | \`${pass.name}\` | ${pass.summary} |`)
  const text = readFileSync(join(root, 'passes', 'README.md'), 'utf8').replace(/ +\|/g, ' |')
  expect(text.split('\n').filter((line) => /^\| (recognize|hopfield|adapt|quantize|lower) \|/.test(line))).toEqual(
    table,
  )
})
