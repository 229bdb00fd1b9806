import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { ensureBuilt, root } from './support/built.ts'

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
