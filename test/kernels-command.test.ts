import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { main } from '../src/cli/main.ts'
import { kernels } from './support/kernels.ts'
import type { RecordedWorld } from './support/world.ts'
import { recordedWorld } from './support/world.ts'

let folder = ''
let tools = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-kernels-'))
  tools = join(folder, 'tools')
  mkdirSync(tools)
  mkdirSync(join(folder, 'headers'))
  writeFileSync(join(folder, 'headers', 'onnxruntime_c_api.h'), '')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** A program that says and does what the text is, found before any other. */
function tool(name: string, script: string): void {
  writeFileSync(join(tools, name), `#!/bin/sh\n${script}\n`)
  chmodSync(join(tools, name), 0o755)
}

interface Ran extends RecordedWorld {
  readonly code: number
}

async function run(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const world = recordedWorld({ env: { PATH: tools, ...env } })
  return Object.assign(world, { code: await main(['kernels', ...args], world) })
}

const build = (...more: string[]) => [
  '--build',
  '--json',
  '-o',
  join(folder, 'out'),
  '--headers',
  join(folder, 'headers'),
  ...more,
]
const errorOf = ({ out }: RecordedWorld) => JSON.parse(out()).error

it('kernels asks what it should do', async () => {
  for (const words of [[], ['--where', '--build']]) expect((await run(words)).code).toBe(2)
})

describe('kernels --where', () => {
  it('names the sources and what was built, in the cache unless another folder is given', async () => {
    const nothing = JSON.parse((await run(['--where', '--json'], { OUTEFFHOP_CACHE_DIR: folder })).out())
    expect(nothing).toEqual({
      ...{ schema: 1, command: 'kernels', sources: kernels, folder: join(folder, 'kernels') },
      ...{ library: null, bridge: null },
    })
    expect(existsSync(join(nothing.sources, 'CMakeLists.txt'))).toBe(true)
    for (const name of ['libouteffhop_ort.so', 'outeffhop_node.node']) writeFileSync(join(folder, name), '')
    const { out } = await run(['--where', '-o', folder])
    expect(out()).toContain(`library  ${join(folder, 'libouteffhop_ort.so')}`)
    expect(out()).toContain(`bridge   ${join(folder, 'outeffhop_node.node')}`)
  })
})

describe.skipIf(process.platform === 'win32')('kernels --build', () => {
  it('says what to install where cmake, a compiler or nvcc is missing', async () => {
    const refusals: [string, string[]][] = []
    const note = async (...more: string[]) => {
      const ran = await run(build(...more), { CUDACXX: '' })
      expect([ran.code, errorOf(ran).code]).toEqual([5, 'kernels-tool'])
      refusals.push([errorOf(ran).message, errorOf(ran).hint])
    }
    await note()
    tool('cmake', 'exit 0')
    await note()
    tool('c++', 'exit 0')
    if (!existsSync('/usr/local/cuda/bin/nvcc')) await note('--cuda')
    expect(refusals.slice(0, 2)).toEqual([
      ['"cmake" does not run, which builds the kernels', expect.stringContaining('apt install cmake')],
      ['"c++" does not run, which builds the kernels', expect.stringContaining('apt install g++')],
    ])
    for (const refusal of refusals.slice(2))
      expect(refusal).toEqual([expect.stringContaining('"nvcc"'), expect.stringContaining('--no-cuda')])
  })

  it('says where headers are looked for, and writes nothing without them', async () => {
    for (const name of ['cmake', 'c++']) tool(name, 'exit 0')
    const ran = await run(build('--headers', tools).toSpliced(4, 2))
    expect([ran.code, errorOf(ran)]).toMatchObject([5, { code: 'kernels-header' }])
    expect(errorOf(ran).hint).toMatch(/libonnxruntime-dev.*--headers DIR.*ONNXRUNTIME_INCLUDE/)
    expect(existsSync(join(folder, 'out'))).toBe(false)
  })

  it('finds the headers that the environment names, and leaves CUDA out where it is told to', async () => {
    tool('c++', 'exit 0')
    tool('nvcc', 'exit 0')
    tool('cmake', `for word; do echo "$word"; done >> "${folder}/words"; [ "$1" != --build ]`)
    const asked = async (words: string[], env: Record<string, string>) => {
      rmSync(join(folder, 'words'), { force: true })
      await run(['--build', '--json', '-o', join(folder, 'out'), ...words], env)
      return readFileSync(join(folder, 'words'), 'utf8').split('\n')
    }
    const headers = `-DONNXRUNTIME_INCLUDE=${join(folder, 'headers')}`
    const plain = await asked(['--no-cuda'], { ONNXRUNTIME_INCLUDE: join(folder, 'headers') })
    expect(plain).toEqual(expect.arrayContaining([headers, '-DOUTEFFHOP_CUDA=OFF']))
    mkdirSync(join(folder, 'root', 'include'), { recursive: true })
    writeFileSync(join(folder, 'root', 'include', 'onnxruntime_c_api.h'), '')
    const cuda = await asked(['--cuda-architectures', '80;90'], { ONNXRUNTIME_ROOT: join(folder, 'root') })
    expect(cuda).toEqual(expect.arrayContaining(['-DOUTEFFHOP_CUDA=ON', '-DCMAKE_CUDA_ARCHITECTURES=80;90']))
    expect(cuda).toContain(`-DONNXRUNTIME_INCLUDE=${join(folder, 'root', 'include')}`)
  })

  it('shows the end of what a build that fails said', async () => {
    tool('c++', 'exit 0')
    tool('cmake', 'if [ "$1" = --build ]; then echo "[ 10%] Building"; echo "kernel.cpp: error: no"; exit 2; fi')
    const ran = await run(build('--no-cuda'))
    expect([ran.code, errorOf(ran).code]).toEqual([5, 'kernels-build'])
    expect(errorOf(ran).hint).toContain('kernel.cpp: error: no')
  })

  it('gives out nothing that it did not find right', async () => {
    tool('c++', 'exit 0')
    tool('cmake', 'exit 0')
    const none = await run(build('--no-cuda'))
    expect([none.code, errorOf(none).code]).toEqual([5, 'kernels-check'])
    const out = join(folder, 'out')
    writeFileSync(join(out, 'libouteffhop_ort.so'), '')
    const checks = (name: string, script: string) => {
      writeFileSync(join(out, 'build', name), `#!/bin/sh\n${script}\n`)
      chmodSync(join(out, 'build', name), 0o755)
    }
    checks('load_check', 'echo wrong ELF class; exit 1')
    expect(errorOf(await run(build('--no-cuda')))).toMatchObject({
      message: expect.stringContaining('cannot be loaded'),
    })
    checks('load_check', 'exit 0')
    checks('cpu_check', 'echo "3 cases, 1 wrong"; exit 1')
    expect(errorOf(await run(build('--no-cuda')))).toMatchObject({
      message: expect.stringContaining('wrong on this processor'),
    })
    checks('cpu_check', 'echo "3 cases, 0 wrong"')
    const fine = await run(build('--no-cuda'))
    expect([fine.code, JSON.parse(fine.out())]).toMatchObject([
      0,
      { cuda: false, bridge: null, checks: ['the library can be loaded', expect.stringContaining('right on 3 cases')] },
    ])
  })
})
