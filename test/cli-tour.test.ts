import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { Stats } from 'node:fs'
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { main } from '../src/cli/main.ts'
import { DerivedPayload, Tensor } from '../src/ir/index.ts'
import { modelToBytes, parseModel } from '../src/onnx/index.ts'
import { recordedWorld } from './support/world.ts'

const attention = `<ir_version: 8, opset_import: ["" : 17]>
g (float[2,4] q, float[4,3] k, float[3,4] v) => (float[2,4] y) {
   s = MatMul (q, k)
   ["/softmax"] p = Softmax <axis = -1> (s)
   y = MatMul (p, v)
}`
/** Forty megabytes of zeros: enough for several looks at the signal while they are written. */
const large = attention.replace(
  ') {',
  ') <float[10000000] w = ...> {\n   z = ReduceSum <keepdims = 0> (w)\n   k2 = Add (k, z)',
)

const home = process.cwd()
let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop tour ü-'))
  process.chdir(folder)
  writeFileSync('model.onnx', modelToBytes(parseModel(attention)))
})
afterEach(() => {
  process.chdir(home)
  rmSync(folder, { recursive: true, force: true })
})

async function run(...args: string[]) {
  const world = recordedWorld()
  const code = await main(args, world)
  return { code, out: world.out(), err: world.err() }
}

function writeLarge(path: string): void {
  const payload = new DerivedPayload(40_000_000, (_, length) => new Uint8Array(length))
  writeFileSync(path, modelToBytes(parseModel(large, { fill: (head) => new Tensor({ ...head, payload }) })))
}

describe('a new user', () => {
  it('gives a path with spaces and letters of other alphabets', async () => {
    mkdirSync('ein Ordner mit ü')
    writeFileSync('ein Ordner mit ü/Modell Δ 1.onnx', readFileSync('model.onnx'))
    const { code, out, err } = await run('ein Ordner mit ü/Modell Δ 1.onnx')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toContain('Wrote ein Ordner mit ü/Modell Δ 1.outeffhop.onnx')
    expect(readdirSync('ein Ordner mit ü')).toHaveLength(2)
  })

  it.each([
    ['in a folder that does not exist', 'nowhere/model.onnx'],
    ['in a folder that is a file', 'model.onnx/model.onnx'],
    ['with the separators of another system', 'models\\model.onnx'],
  ])('names a model %s: the model is what is missing', async (_, path) => {
    expect(await run(path)).toEqual({ code: 3, out: '', err: `error: "${path}" does not exist\n  Check the path.\n` })
    expect(readdirSync('.')).toEqual(['model.onnx'])
  })

  it('gives a model that was cut short by a broken download', async () => {
    const whole = readFileSync('model.onnx')
    writeFileSync('cut.onnx', whole.subarray(0, whole.length / 2))
    const { code, err } = await run('cut.onnx')
    expect(code).toBe(3)
    expect(err).toMatch(
      /^error: "cut\.onnx" is damaged: .* long, but only \d+ are left\n {2}The file is damaged or not an ONNX model: fetch or export it again\.\n$/,
    )
    expect(readdirSync('.').sort()).toEqual(['cut.onnx', 'model.onnx'])
  })

  it.skipIf(process.platform === 'win32')(
    'names a pipe or a socket as the output, which no file replaces',
    async () => {
      expect(spawnSync('mkfifo', ['pipe']).status).toBe(0)
      const server = createServer().listen('socket')
      await once(server, 'listening')
      try {
        for (const [name, isStill] of [
          ['pipe', (stat: Stats) => stat.isFIFO()],
          ['socket', (stat: Stats) => stat.isSocket()],
        ] as const) {
          const { code, err } = await run('model.onnx', '-o', name, '--overwrite')
          expect({ code, err }).toEqual({
            code: 6,
            err: `error: "${name}" is a pipe, a socket or a device, and a model is written to a file\n  Name a file: -o FOLDER/model.onnx.\n`,
          })
          const { out } = await run('model.onnx', '-o', name, '--overwrite', '--json')
          expect(JSON.parse(out).error.code).toBe('output-not-file')
          expect(isStill(lstatSync(name))).toBe(true)
        }
      } finally {
        server.close()
      }
    },
  )

  it.skipIf(process.platform === 'win32')('names a link as the output, which gives way to the file', async () => {
    for (const [link, target] of [
      ['link.onnx', 'model.onnx.bak'],
      ['broken.onnx', 'nowhere'],
    ] as const) {
      if (link === 'link.onnx') writeFileSync(target, 'of somebody else')
      symlinkSync(target, link)
      expect((await run('model.onnx', '-o', link, '--no-verify')).code).toBe(6)
      expect(lstatSync(link).isSymbolicLink()).toBe(true)
      expect((await run('model.onnx', '-o', link, '--no-verify', '--overwrite')).code).toBe(0)
      expect(lstatSync(link).isFile()).toBe(true)
    }
    expect(readFileSync('model.onnx.bak', 'utf8')).toBe('of somebody else')
    expect(readdirSync('.')).not.toContain('nowhere')
  })

  it('names an output that is too long for the file system', async () => {
    const { code, err } = await run('model.onnx', '-o', `${'x'.repeat(300)}.onnx`)
    expect(code).toBe(6)
    expect(err).toContain('cannot be written: the name is too long (ENAMETOOLONG)')
  })

  it.skipIf(process.platform !== 'linux')(
    'names places where the system creates nothing, and is told so at once',
    async () => {
      for (const args of [
        ['-o', '/proc/model.onnx'],
        ['--dump', '/proc/steps'],
      ]) {
        const { code, err } = await run('model.onnx', '--no-verify', ...args)
        expect(code).toBe(6)
        expect(err).toMatch(/^error: "\/proc\/\S+" cannot be written: .*\n {2}Check permissions/)
      }
      expect(readdirSync('.')).toEqual(['model.onnx'])
    },
  )

  it('stops it with Ctrl-C while a large file is written', async () => {
    writeLarge('large.onnx')
    let time = 0
    const world = recordedWorld({ clock: () => (time += 2000) })
    const write = (text: string) => {
      world.stderr.write(text)
      if (text.startsWith('writing')) {
        expect(readdirSync('.').some((name) => name.endsWith('.tmp'))).toBe(true)
        world.interrupt()
      }
    }
    expect(await main(['large.onnx'], { ...world, stderr: { ...world.stderr, write } })).toBe(130)
    expect(world.err()).toContain('error: interrupted; nothing was written')
    expect(readdirSync('.').sort()).toEqual(['large.onnx', 'model.onnx'])
  })

  it('has a disk that is full', async (context) => {
    mkdirSync('disk')
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', 'disk'])
    if (mounted.status !== 0)
      return context.skip('skipped: a small file system needs a system and a user that may mount')
    try {
      writeLarge('large.onnx')
      for (const mode of ['auto', 'always']) {
        const { code, err } = await run('large.onnx', '-o', 'disk/out.onnx', '--external-data', mode)
        expect(code).toBe(6)
        expect(err).toMatch(
          /^error: there is no room for "disk\/out\.onnx.*", which needs 38\.\d MiB; nothing was left behind\n/,
        )
        expect(readdirSync('disk')).toEqual([])
      }
    } finally {
      spawnSync('umount', ['disk'])
    }
  })
})
