import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { commandNames } from '../src/cli/command.ts'
import { main } from '../src/cli/main.ts'
import { ensureBuilt, root } from './support/built.ts'
import { recordedWorld } from './support/world.ts'

beforeAll(ensureBuilt)

/** A program that only compiles where the types of the package say what each line is about. */
const program = `import { convert, explain, Tensor } from 'outeffhop-convert'
const { document } = await convert('a', { target: 'ort', provider: 'cpu', form: 'zero-key', include: ['pooling'] })
const names: readonly string[] = document.sites.filter((site) => site.verdict === 'attention').map((site) => site.node)
const bytes: Uint8Array | undefined = (await convert(new Uint8Array(1))).bytes
// @ts-expect-error
convert('a', { target: 'tflite' })
// @ts-expect-error
convert('a', { provider: 'tpu' })
// @ts-expect-error
convert('a', { form: 'fast' })
// @ts-expect-error
convert('a', { include: ['everything'] })
// @ts-expect-error
convert('a', { stopAfter: 'middle' })
// @ts-expect-error
convert('a', { externalData: 'sometimes' })
// @ts-expect-error
explain(4)
export { names, bytes, Tensor }
`

it('the types name every choice, and need neither the types of Node nor skipLibCheck', () => {
  const folder = mkdtempSync(join(tmpdir(), 'outeffhop-types-'))
  try {
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(root, join(folder, 'node_modules/outeffhop-convert'), 'junction')
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(join(folder, 'program.ts'), program)
    const compilerOptions = { target: 'ES2023', module: 'NodeNext', types: [], strict: true, noEmit: true }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['program.ts'] }))
    const compiler = join(root, 'node_modules/typescript/bin/tsc')
    const { stdout } = spawnSync(process.execPath, [compiler, '-p', folder], { encoding: 'utf8' })
    expect(stdout).toBe('')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

it('the README names flags and commands that exist, and every command', async () => {
  const known = new Set(['--onnxruntime-node-install', '--no-config', '--no-cuda'])
  for (const command of commandNames) {
    const world = recordedWorld()
    await main(['--get-yargs-completions', 'outeffhop-convert', command, '--'], world)
    for (const flag of world.out().split('\n')) known.add(flag)
  }
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const flags = Array.from(readme.matchAll(/(?<![\w-])--[a-z][a-z0-9-]+/g), ([flag]) => flag)
  expect(flags.filter((flag) => !known.has(flag))).toEqual([])
  const named = commandNames.filter((name) => new RegExp(`^outeffhop-convert .*\\b${name}\\b`, 'm').test(readme))
  expect(named).toEqual(commandNames)
})
