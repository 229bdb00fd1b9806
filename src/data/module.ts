import { basename, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { dataModule, interrupted } from '../errors.ts'
import type { NamedValues, Records } from './records.ts'

type Sequence = AsyncIterable<unknown> | Iterable<unknown>

/**
 * Samples from a module whose default export (or export `samples`) is an async or plain iterable, or a function that gives
 * one: `{ input: tensor | { dims, data } | nested lists }` each. It is run once to be counted and once a pass, so it has to
 * end and to give the same every time.
 */
export async function moduleRecords(path: string, signal?: AbortSignal): Promise<Records> {
  const start = await sequenceOf(path)
  let count = 0
  let first: NamedValues | undefined
  for await (const record of start()) {
    if (signal?.aborted) throw interrupted()
    first ??= recordOf(record, path)
    count++
  }
  return {
    kind: 'module',
    path,
    count,
    first,
    async *read(positions) {
      const wanted = positions[Symbol.iterator]()
      let next = wanted.next()
      let position = 0
      if (next.done) return
      for await (const record of start()) {
        if (position++ !== next.value) continue
        yield { position: next.value, id: `${basename(path)}[${next.value}]`, record: recordOf(record, path) }
        next = wanted.next()
        if (next.done) return
      }
      throw dataModule(path, `gave ${count} samples the first time and ${position} the next`)
    },
  }
}

async function sequenceOf(path: string): Promise<() => Sequence> {
  const loaded = await load(path)
  const exported = loaded.default ?? loaded.samples
  if (typeof exported === 'function') {
    return () => {
      const sequence: unknown = exported()
      if (isSequence(sequence)) return sequence
      throw dataModule(path, 'exports a function that gives nothing to iterate over')
    }
  }
  if (!isSequence(exported)) throw dataModule(path, 'exports nothing to iterate over as default')
  // A generator object is its own iterator, and is used up after one pass.
  const iterator: unknown =
    Symbol.asyncIterator in exported ? exported[Symbol.asyncIterator]() : exported[Symbol.iterator]()
  if (iterator === exported) throw dataModule(path, 'exports a generator that can be run only once')
  return () => exported
}

async function load(path: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(resolve(path)).href)) as Record<string, unknown>
  } catch (error) {
    throw dataModule(path, `cannot be loaded: ${(error as Error).message}`)
  }
}

function isSequence(value: unknown): value is Sequence {
  return typeof value === 'object' && value !== null && (Symbol.asyncIterator in value || Symbol.iterator in value)
}

function recordOf(value: unknown, path: string): NamedValues {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as NamedValues
  throw dataModule(path, 'gives something that is not an object of inputs')
}
