import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { cacheFolder, hashesOf, keyOf, programOf, Store } from '../src/cache/index.ts'
import { main } from '../src/cli/main.ts'
import { closeModel, openModel } from '../src/onnx/index.ts'
import { ensureBuilt, root } from './support/built.ts'
import { externalConstantModel, externalModel, weights } from './support/external-model.ts'
import { recordedWorld } from './support/world.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-cache-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const key = keyOf({ a: 1 })

describe('a store', () => {
  it('gives back the value and the files that were put under a key, and nothing under another', async () => {
    const store = new Store(join(folder, 'a', 'b'))
    writeFileSync(join(folder, 'model'), 'bytes')
    expect(await store.get(key)).toBeUndefined()
    await store.put(key, 'model.onnx', { numbers: [1, 2] }, { 'out.onnx': join(folder, 'model') })
    rmSync(join(folder, 'model'))
    const entry = await store.get(key)
    expect(entry?.value).toEqual({ numbers: [1, 2] })
    expect(readFileSync(entry?.files['out.onnx'] as string, 'utf8')).toBe('bytes')
    expect(await store.get(keyOf({ a: 2 }))).toBeUndefined()
  })

  it('keeps the first of two results, which are the same by construction', async () => {
    const store = new Store(folder)
    await store.put(key, 'x', 'first')
    await store.put(key, 'x', 'second')
    expect((await store.get(key))?.value).toBe('first')
    expect(readdirSync(folder)).toEqual([key])
  })

  const damages: [what: string, damage: (entry: string) => void][] = [
    ['a byte of the value', (entry) => flip(join(entry, 'entry'), -3)],
    ['a byte of the hash', (entry) => flip(join(entry, 'entry'), 5)],
    ['a byte of a file', (entry) => flip(join(entry, 'file-0'), 2)],
    ['an empty value', (entry) => writeFileSync(join(entry, 'entry'), '')],
    [
      'half a value',
      (entry) => writeFileSync(join(entry, 'entry'), readFileSync(join(entry, 'entry')).subarray(0, 90)),
    ],
    ['a missing value', (entry) => rmSync(join(entry, 'entry'))],
    ['a missing file', (entry) => rmSync(join(entry, 'file-0'))],
  ]
  it.each(damages)('finds %s damaged, throws the entry away and takes a new one', async (_what, damage) => {
    const store = new Store(folder)
    writeFileSync(join(folder, 'model'), 'bytes')
    await store.put(key, 'x', { some: 'value' }, { model: join(folder, 'model') })
    damage(join(folder, key))
    expect(await store.get(key)).toBeUndefined()
    expect(store.damaged).toEqual([key])
    expect(existsSync(join(folder, key))).toBe(false)
    await store.put(key, 'x', { some: 'value' }, { model: join(folder, 'model') })
    expect((await store.get(key))?.value).toEqual({ some: 'value' })
  })

  it('removes what was not used for longest first, and leaves what is not its own', async () => {
    const store = new Store(folder)
    writeFileSync(join(folder, 'notes.txt'), 'mine')
    const keys = [1, 2, 3].map((n) => keyOf({ n }))
    for (const [i, each] of keys.entries()) {
      await store.put(each, `model ${i}`, 'x'.repeat(1000))
      utimesSync(join(folder, each, 'used'), 1000 + i, 1000 + i)
    }
    await store.get(keys[0] as string)
    expect(store.list().map(({ label }) => label)).toEqual(['model 0', 'model 2', 'model 1'])
    const { removed, kept } = store.prune({ now: 0, bytes: 2500 })
    expect([removed, kept].map((list) => list.map(({ label }) => label))).toEqual([['model 1'], ['model 0', 'model 2']])
    expect(store.prune({ now: 1_002_000 + 60_000, age: 59_000 }).removed.map(({ label }) => label)).toEqual(['model 2'])
    expect(store.prune({ now: 0 }).kept).toEqual([])
    expect(readdirSync(folder)).toEqual(['notes.txt'])
  })

  it('does not grow beyond its limit', async () => {
    const store = new Store(folder, 3000)
    for (let n = 0; n < 5; n++) {
      await store.put(keyOf({ n }), `model ${n}`, 'x'.repeat(1000))
      utimesSync(join(folder, keyOf({ n }), 'used'), 1000 + n, 1000 + n)
    }
    expect(store.list().map(({ label }) => label)).toEqual(['model 4', 'model 3'])
  })

  it('removes what a process left that died, once it is old', async () => {
    const store = new Store(folder)
    mkdirSync(join(folder, `making-${'0'.repeat(16)}`))
    store.prune({ now: Date.now() })
    expect(readdirSync(folder)).toHaveLength(1)
    store.prune({ now: Date.now() + 4_000_000 })
    expect(readdirSync(folder)).toEqual([])
  })

  it('says where it cannot write', async () => {
    writeFileSync(join(folder, 'file'), '')
    const error = await new Store(join(folder, 'file', 'x')).put(key, 'x', 1).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'cache-not-writable', exitCode: 6 })
  })
})

describe('several processes', () => {
  beforeAll(ensureBuilt)

  it('write, read and prune one store, and never see half of an entry', async () => {
    const program = join(folder, 'program.mjs')
    writeFileSync(program, stress(join(folder, 'store')))
    const codes = await Promise.all(['a', 'b', 'c'].map((name) => exitOf(program, name)))
    expect(codes).toEqual(['', '', ''])
    const left = readdirSync(join(folder, 'store'))
    expect(left.filter((name) => name.startsWith('making-'))).toEqual([])
  }, 60_000)
})

/** Each process puts and gets the same forty keys again and again, and prunes now and then. */
const stress = (store: string) => `
import { existsSync, writeFileSync, readFileSync } from 'node:fs'
import { Store, keyOf } from ${JSON.stringify(pathToFileURL(join(root, 'dist/src/cache/index.js')).href)}
const store = new Store(${JSON.stringify(store)})
const name = process.argv[2]
for (let round = 0; round < 200; round++) {
  const n = (round * 7) % 40
  const key = keyOf({ n })
  const entry = await store.get(key)
  if (entry && entry.value.text !== 'x'.repeat(1000 * n)) throw new Error('half a value')
  if (entry === undefined) {
    const file = ${JSON.stringify(store)} + '-' + name
    writeFileSync(file, 'f'.repeat(5000 + n))
    await store.put(key, 'entry ' + n, { text: 'x'.repeat(1000 * n) }, { file })
  }
  if (round % 25 === 24) store.prune({ now: Date.now(), bytes: 60_000 })
}
// Another process may remove an entry at any time; what is read is all of it or nothing.
for (let n = 0; n < 40; n++) {
  const again = await new Store(${JSON.stringify(store)}).get(keyOf({ n }))
  let text
  try {
    text = again && readFileSync(again.files.file, 'utf8')
  } catch (error) {
    if (existsSync(again.files.file)) throw error
  }
  if (text !== undefined && text.length !== 5000 + n) throw new Error('half a file')
}
`

function exitOf(program: string, name: string): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, name])
    let text = ''
    child.stderr.on('data', (part) => {
      text += part
    })
    child.on('close', (code) => resolve(code === 0 ? '' : text))
  })
}

describe('keys', () => {
  it('do not depend on the order of fields, and do on everything else', () => {
    expect(keyOf({ a: 1, b: { c: [1, { d: 2, e: 3 }] } })).toBe(keyOf({ b: { c: [1, { e: 3, d: 2 }] }, a: 1 }))
    expect(keyOf({ a: 1, b: undefined })).toBe(keyOf({ a: 1 }))
    const others = [{ a: [1, 2] }, { a: [2, 1] }, { a: '1' }, { a: 1 }, { a: null }, {}]
    expect(new Set(others.map(keyOf)).size).toBe(others.length)
  })

  const entries = [['location', 'w.bin']] as const
  it.each([
    ['initializer', externalModel(entries)],
    ['constant', externalConstantModel(entries)],
  ])('hash every file of a model with external data (%s)', async (_of, bytes) => {
    const path = join(folder, 'model.onnx')
    writeFileSync(path, bytes)
    writeFileSync(join(folder, 'w.bin'), weights)
    const hashes = async () => {
      const model = openModel(path)
      const found = await hashesOf(model)
      closeModel(model)
      return found
    }
    const before = await hashes()
    expect(before.map(({ name }) => name)).toEqual(['model.onnx', 'w.bin'])
    flip(join(folder, 'w.bin'), 0)
    const after = await hashes()
    expect(after[0]).toEqual(before[0])
    expect(after[1]?.sha256).not.toBe(before[1]?.sha256)
  })

  it('know the code that runs, the runtime and the machine', () => {
    const { version, code, platform } = programOf()
    expect(version).toBe(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version)
    expect(code).toMatch(/^[0-9a-f]{64}$/)
    expect(platform).toContain(process.arch)
  })
})

describe('the folder', () => {
  const home = join('/', 'home', 'me')
  it('is what the environment says, else where the platform keeps such things', () => {
    expect(cacheFolder({ OUTEFFHOP_CACHE_DIR: 'here' }, 'win32', home)).toBe('here')
    expect(cacheFolder({}, 'linux', home)).toBe(join(home, '.cache', 'outeffhop-convert'))
    expect(cacheFolder({ XDG_CACHE_HOME: '/var/x' }, 'linux', home)).toBe(join('/var/x', 'outeffhop-convert'))
    expect(cacheFolder({ XDG_CACHE_HOME: 'relative' }, 'linux', home)).toBe(join(home, '.cache', 'outeffhop-convert'))
    expect(cacheFolder({}, 'darwin', home)).toBe(join(home, 'Library', 'Caches', 'outeffhop-convert'))
    const local = join('C:', 'local')
    expect(cacheFolder({ LOCALAPPDATA: local }, 'win32', home)).toBe(join(local, 'outeffhop-convert', 'Cache'))
  })
})

describe('outeffhop-convert cache', () => {
  const run = async (line: string, date = Date.now) => {
    const world = recordedWorld({ env: { OUTEFFHOP_CACHE_DIR: join(folder, 'kept') }, date })
    const code = await main(['cache', ...line.split(' ')], world)
    return { code, out: world.out(), err: world.err() }
  }

  it('lists and prunes results', async () => {
    expect((await run('ls')).out).toContain('0 results, 0 bytes')
    const store = new Store(join(folder, 'kept'))
    await store.put(key, 'check of a.onnx', 'x'.repeat(2000))
    const twoDays = () => Date.now() + 2 * 86_400_000 + 1000
    expect((await run('ls', twoDays)).out).toContain(`${key.slice(0, 12)}  2.1 kB  2d ago  check of a.onnx\n1 result`)
    expect(JSON.parse((await run('ls --json')).out)).toMatchObject({ command: 'cache', entries: [{ key }] })
    expect((await run('prune --older-than 3d', twoDays)).out).toMatch(/^removed 0 results, 0 bytes, kept 1 result/)
    expect((await run('prune --max-size 1KB')).out).toMatch(/^removed 1 result, 2.1 kB, kept 0 results/)
  })

  it('refuses what means nothing', async () => {
    for (const line of ['shrink', 'prune --older-than soon', 'prune --max-size big', 'ls --max-size 1GB'])
      expect((await run(line)).code).toBe(2)
  })

  it.skipIf(process.platform === 'win32')('follows no link out of its folder', async () => {
    mkdirSync(join(folder, 'other'))
    writeFileSync(join(folder, 'other', 'mine'), '')
    mkdirSync(join(folder, 'kept'))
    symlinkSync(join(folder, 'other'), join(folder, 'kept', key))
    await run('prune')
    expect(readdirSync(join(folder, 'other'))).toEqual(['mine'])
  })
})

function flip(path: string, at: number): void {
  const bytes = readFileSync(path)
  const i = at < 0 ? bytes.length + at : at
  bytes[i] = (bytes[i] as number) ^ 1
  writeFileSync(path, bytes)
}
