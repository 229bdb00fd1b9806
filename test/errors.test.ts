import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { main } from '../src/cli/main.ts'
import { rewriteTranscript, transcripts, writeFiles } from './support/transcript.ts'
import { recordedWorld } from './support/world.ts'

const home = process.cwd()
let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outeffhop-errors-'))
  process.chdir(folder)
})
afterEach(() => {
  process.chdir(home)
  rmSync(folder, { recursive: true, force: true })
})

describe('what a user is told', () => {
  it.each(transcripts().map((t) => [t.code, t] as const))('%s', async (code, transcript) => {
    writeFiles(folder, transcript)
    const before = readdirSync(folder).sort()
    const world = recordedWorld()
    const exit = await main(transcript.args, world)
    const said = `${world.err()}exit ${exit}\n`
    if (process.env.UPDATE_FIXTURES === '1') rewriteTranscript(transcript, said)
    else expect(said).toBe(transcript.expected)

    const json = recordedWorld()
    expect(await main([...transcript.args, '--json'], json)).toBe(exit)
    expect(JSON.parse(json.out()).error).toMatchObject({ code, exitCode: exit })
    expect(readdirSync(folder).sort()).toEqual(before)
  })
})

it('every diagnostic is shown by a case or asked for in a test', () => {
  const codes = [...readFileSync(join(home, 'src/errors.ts'), 'utf8').matchAll(/new ConvertError\(\s*'([a-z0-9-]+)'/g)]
  const shown = new Set(transcripts().map((t) => t.code))
  const tests = sources(join(home, 'test')).map((path) => readFileSync(path, 'utf8'))
  const unseen = codes.map(([, code = '']) => code).filter((code) => !shown.has(code))
  expect(unseen.filter((code) => !tests.some((text) => text.includes(`'${code}'`)))).toEqual([])
})

it('the factories are sorted by code', () => {
  const text = readFileSync(join(home, 'src/errors.ts'), 'utf8')
  const codes = [...text.matchAll(/^export function \w+[\s\S]*?new ConvertError\(\s*'([a-z0-9-]+)'/gm)].map(
    ([, code]) => code,
  )
  expect(codes).toEqual([...codes].sort())
})

function sources(at: string): string[] {
  return readdirSync(at, { withFileTypes: true }).flatMap((entry) => {
    const path = join(at, entry.name)
    return entry.isDirectory() ? sources(path) : path.endsWith('.ts') ? [path] : []
  })
}
