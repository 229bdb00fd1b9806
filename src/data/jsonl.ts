import { basename } from 'node:path'
import { lines } from './lines.ts'
import { UnusableSample } from './reader.ts'
import type { NamedValues, Records } from './records.ts'

/** A JSON object a line. The file is read once to count its lines, then as often as there are passes. */
export function jsonlRecords(path: string): Promise<Records> {
  return lineRecords('jsonl', path, parse)
}

/** A text a line. */
export function textRecords(path: string, field: string): Promise<Records> {
  return lineRecords('text', path, (text) => ({ [field]: text }))
}

async function lineRecords(
  kind: 'jsonl' | 'text',
  path: string,
  parseLine: (text: string) => NamedValues | UnusableSample,
): Promise<Records> {
  let count = 0
  let first: NamedValues | undefined
  for await (const { text } of lines(path)) {
    count++
    if (first !== undefined) continue
    const record = parseLine(text)
    if (!(record instanceof UnusableSample)) first = record
  }
  return {
    kind,
    path,
    count,
    first,
    async *read(positions) {
      const wanted = positions[Symbol.iterator]()
      let next = wanted.next()
      let position = 0
      for await (const { number, text } of lines(path)) {
        if (next.done) return
        if (position++ !== next.value) continue
        yield { position: next.value, id: `${basename(path)}:${number}`, record: parseLine(text) }
        next = wanted.next()
      }
    },
  }
}

function parse(text: string): NamedValues | UnusableSample {
  try {
    const record: unknown = JSON.parse(text)
    if (typeof record === 'object' && record !== null && !Array.isArray(record)) return record as NamedValues
    return new UnusableSample('it is not a JSON object')
  } catch (error) {
    const isPython = /\b(NaN|-?Infinity)\b/.test(text)
    return new UnusableSample(isPython ? 'it has NaN or Infinity, which JSON has not' : (error as Error).message)
  }
}
