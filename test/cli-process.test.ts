import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { modelToBytes, parseModel } from '../src/onnx/index.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import { bin, ensureBuilt, root } from './support/built.ts'

const attention = (rest: string, outputs = '') => `<ir_version: 8, opset_import: ["" : 17]>
g (float[2,4] q, float[4,3] k, float[3,4] v) => (float[2,4] y${outputs}) <bool yes = {1}, int64 forever = {4611686018427387904}> {
   s = MatMul (q, k)
   ["/softmax"] p = Softmax <axis = -1> (s)
   y = MatMul (p, v)
   ${rest}
}`

let folder = ''
beforeAll(ensureBuilt)
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-bin-'))
  write('model.onnx', attention(''))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, text: string): void {
  writeFileSync(join(folder, name), modelToBytes(parseModel(text)))
}

function run(args: readonly string[], node: readonly string[] = [], program = bin) {
  return spawnSync(process.execPath, [...node, program, ...args], { cwd: folder, encoding: 'utf8' })
}

describe('the installed program', () => {
  it('converts a model', () => {
    const { status, stdout, stderr } = run(['model.onnx'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('1 converted to Softmax1.')
    expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'model.outeffhop.onnx'])
  })

  it('gives documented exit codes', () => {
    expect(run([]).status).toBe(2)
    expect(run(['missing.onnx']).status).toBe(3)
    expect(run(['model.onnx', '-o', 'model.onnx']).status).toBe(6)
  })

  it('loads no more than it needs', () => {
    const loaded = (...args: string[]) => {
      const logger = pathToFileURL(join(root, 'test/support/log-loads.js')).href
      const { stderr } = run(args, ['--import', logger])
      return Array.from(stderr.matchAll(/^load (.*)$/gm), ([, url = '']) => url)
    }
    const matching = (urls: string[], pattern: RegExp) => urls.filter((url) => pattern.test(url))
    const heavy = /onnxruntime|protobufjs|\/(convert|attention|graph|passes|report|rewrite)-/
    expect(matching(loaded('--version'), /program-|yargs/)).toEqual([])
    expect(matching(loaded('--version'), heavy)).toEqual([])
    expect(matching(loaded('--help'), /program-/)).not.toEqual([])
    expect(matching(loaded('--help'), heavy)).toEqual([])
    expect(matching(loaded('explain', 'model.onnx'), heavy)).not.toEqual([])
    expect(matching(loaded('explain', 'model.onnx'), /onnxruntime/)).toEqual([])
  })

  it('ends quietly when nobody reads what it prints', async () => {
    const nodes = Array.from({ length: 5000 }, (_, i) => `x${i} = Relu (${i === 0 ? 'q' : `x${i - 1}`})`)
    write('long.onnx', attention(nodes.join('\n')))
    const child = spawn(process.execPath, [bin, 'inspect', 'long.onnx', '--text'], { cwd: folder })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text
    })
    child.stdout.once('data', () => child.stdout.destroy())
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(stderr).toBe('')
  })

  it('works without onnxruntime-node, and says that the result was not tried', () => {
    const alone = join(folder, 'alone')
    mkdirSync(join(alone, 'node_modules'), { recursive: true })
    for (const part of ['bin', 'dist', 'package.json']) cpSync(join(root, part), join(alone, part), { recursive: true })
    for (const dependency of ['yargs', 'protobufjs']) {
      symlinkSync(join(root, 'node_modules', dependency), join(alone, 'node_modules', dependency), 'junction')
    }
    const { status, stdout, stderr } = run(['model.onnx'], [], join(alone, 'bin/outeffhop-convert.js'))
    expect(stderr).toContain('warning: the result was not tried in ONNX Runtime: onnxruntime-node is not installed')
    expect(stdout).toContain('Wrote model.outeffhop.onnx')
    expect(status).toBe(0)
    const script = `import { openSession } from './dist/src/runtime/index.js'
      await openSession('model.onnx').catch(({ code, exitCode }) => console.log(code, exitCode))`
    const session = spawnSync(process.execPath, ['--input-type=module', '-e', script], { cwd: alone, encoding: 'utf8' })
    expect(session.stdout.trim().split(' ')).toEqual(['runtime-missing', '5'])
  })

  it.skipIf(process.platform === 'win32')('says that a folder is read-only, with exit code 6', () => {
    // Root writes anywhere: as root, the program is run by nobody, who has to be allowed to read it.
    const owner = process.getuid?.() === 0 ? { uid: 65534 } : {}
    chmodSync(folder, 0o755)
    const probe = spawnSync(process.execPath, [bin, 'inspect', 'model.onnx'], { cwd: folder, ...owner })
    if (probe.status !== 0) return console.log('skipped: read-only folder, nobody cannot read this clone')
    chmodSync(folder, 0o555)
    const { status, stderr, error } = spawnSync(process.execPath, [bin, 'model.onnx'], {
      cwd: folder,
      encoding: 'utf8',
      ...owner,
    })
    chmodSync(folder, 0o755)
    expect(error).toBeUndefined()
    expect(stderr).toContain('error: "model.outeffhop.onnx" cannot be written: permission denied (EACCES)')
    expect(stderr).toContain('Check permissions')
    expect(status).toBe(6)
    expect(readdirSync(folder)).toEqual(['model.onnx'])
  })

  it.skipIf(installedRuntime() === undefined || process.platform === 'win32').each([
    ['Ctrl-C', ['SIGINT']],
    ['a second Ctrl-C', ['SIGINT', 'SIGINT']],
    ['the end of its terminal', ['SIGHUP', 'SIGHUP']],
  ] as const)('ends at once at %s while the result is tried, and leaves nothing behind', async (_, signals) => {
    const body = 'b (int64 i, bool c, float[2,4] a) => (bool d, float[2,4] e) { d = Identity (c) e = Neg (a) }'
    write('slow.onnx', attention(`z = Loop (forever, yes, y) <body: graph = ${body}>`, ', float[2,4] z'))
    const child = spawn(process.execPath, [bin, 'slow.onnx'], { cwd: folder, detached: true })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text
    })
    while (!readdirSync(folder).some((name) => name.endsWith('.tmp'))) await sleep(20)
    await sleep(500)
    for (const signal of signals) child.kill(signal)
    expect(await once(child, 'exit')).toEqual([130, null])
    expect(stderr).toContain('error: interrupted; nothing was written')
    expect(readdirSync(folder).sort()).toEqual(['model.onnx', 'slow.onnx'])
    expect(() => process.kill(-(child.pid ?? 0), 0)).toThrow('ESRCH')
  })
})
