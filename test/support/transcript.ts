import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { modelToBytes, parseModel } from '../../src/onnx/index.ts'
import { fixtures } from './pass-case.ts'

/** One file of fixtures/errors: files, a command, and what it says. */
export interface Transcript {
  readonly code: string
  /** Files by name, or undefined for an empty folder. */
  readonly files: readonly { readonly name: string; readonly bytes: Uint8Array | undefined }[]
  readonly args: readonly string[]
  readonly expected: string
  /** Everything above the expectation, to write the file again. */
  readonly source: string
}

export function transcripts(): Transcript[] {
  const folder = join(fixtures, 'errors')
  return readdirSync(folder)
    .filter((file) => file.endsWith('.txt'))
    .sort()
    .map((file) => parseTranscript(file.slice(0, -'.txt'.length), readFileSync(join(folder, file), 'utf8')))
}

function parseTranscript(code: string, text: string): Transcript {
  const match = /^(?<files>[\s\S]*?)^\$ outeffhop-convert (?<command>.*)\n(?<expected>[\s\S]*)$/m.exec(text)
  const { files = '', command = '', expected = '' } = match?.groups ?? {}
  const sections = files.split(/^-- /m).slice(1)
  return {
    code,
    files: sections.map(parseFile),
    args: Array.from(command.matchAll(/'([^']*)'|(\S+)/g), ([, quoted, bare]) => quoted ?? bare ?? ''),
    expected,
    source: text.slice(0, text.length - expected.length),
  }
}

const kinds = {
  model: (body: string) => modelToBytes(parseModel(body)),
  hex: (body: string) => Buffer.from(body.replace(/#.*$/gm, '').replace(/\s+/g, ''), 'hex'),
  text: (body: string) => Buffer.from(body),
  fixture: (body: string) => {
    const [name = '', length] = body.trim().split(' up to byte ')
    return readFileSync(join(fixtures, name)).subarray(0, length === undefined ? undefined : Number(length))
  },
  folder: () => undefined,
}

function parseFile(section: string): Transcript['files'][number] {
  const [head = '', ...body] = section.split('\n')
  const [name = '', kind = ''] = head.split(': ')
  const encode = kinds[kind as keyof typeof kinds]
  if (encode === undefined) throw new Error(`"${kind}" is not a kind of file: ${Object.keys(kinds).join(', ')}`)
  return { name, bytes: encode(body.join('\n')) }
}

export function writeFiles(folder: string, { files }: Transcript): void {
  for (const { name, bytes } of files) {
    const path = join(folder, name)
    mkdirSync(bytes ? dirname(path) : path, { recursive: true })
    if (bytes) writeFileSync(path, bytes)
  }
}

export function rewriteTranscript({ code, source }: Transcript, expected: string): void {
  writeFileSync(join(fixtures, 'errors', `${code}.txt`), source + expected)
}
