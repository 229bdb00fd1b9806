import { closeSync, existsSync, openSync, readFileSync, rmSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { checkLockMalformed, checkLockVersion } from '../errors.ts'
import { placeText } from '../onnx/write/temporary.ts'
import type { Facts } from './facts.ts'
import { lockText } from './lock-text.ts'
import type { Chosen, Settings } from './settings.ts'
import type { Slack, Thresholds } from './thresholds.ts'

/** Where the facts are kept when nothing else is said. */
export const defaultLock = 'outeffhop.lock.json'

/** What is recorded of one model; paths are relative to the folder of the lock file. */
export type LockEntry = {
  readonly model: string
  readonly chosen?: Chosen
  readonly madeWith: MadeWith
  readonly thresholds: Thresholds
  readonly slack: Slack
} & Settings &
  Facts

export interface MadeWith {
  readonly 'outeffhop-convert': string
  /** Null where it was not installed. */
  readonly 'onnxruntime-node': string | null
}

/** Entries by name: the path of the model, unless it was given another. */
export type Lock = ReadonlyMap<string, LockEntry>

const version = 1

/**
 * Reads a lock file; undefined where there is none. Throws `check-lock-malformed`, and `check-lock-version` for one of a
 * later version of this program.
 */
export function readLock(path: string): Lock | undefined {
  if (!existsSync(path)) return undefined
  const content = parsed(path)
  if (typeof content.lockfile === 'number' && content.lockfile > version)
    throw checkLockVersion(path, content.lockfile, version)
  if (content.lockfile !== version || !isRecord(content.models)) throw checkLockMalformed(path, 'it has no "models"')
  for (const [name, entry] of Object.entries(content.models)) {
    const missing = isRecord(entry) ? fields.find(([field, is]) => !is(entry[field]))?.[0] : 'model'
    if (missing !== undefined) throw checkLockMalformed(path, `"${missing}" of "${name}" is missing or something else`)
  }
  return new Map(Object.entries(content.models as Record<string, LockEntry>))
}

/**
 * Puts entries in the place of those of the same names, in one step; the order is that of the names. Processes that record
 * at the same time take turns, so that each adds to what the others wrote.
 */
export async function writeLock(path: string, entries: ReadonlyMap<string, LockEntry>): Promise<boolean> {
  const release = await takeTurn(`${path}.turn`)
  try {
    return merge(path, entries)
  } finally {
    release()
  }
}

/** Creates a file that only one process at a time can create. One that is left behind by a process that died is nobody's. */
async function takeTurn(path: string): Promise<() => void> {
  for (let waits = 1; ; waits++) {
    try {
      closeSync(openSync(path, 'wx'))
      return () => rmSync(path, { force: true })
    } catch (error) {
      // A folder that cannot be written to is said by who writes the lock file itself.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return () => {}
      if (waits % mostWaits === 0) rmSync(path, { force: true })
      else await setTimeout(waitMs)
    }
  }
}

/** A turn is a few reads and writes of a small file; nobody waits longer than ten seconds for one. */
const [waitMs, mostWaits] = [5, 2000]

function merge(path: string, entries: ReadonlyMap<string, LockEntry>): boolean {
  const all = new Map([...(readLock(path) ?? []), ...entries])
  const models = Object.fromEntries([...all].sort(([a], [b]) => (a < b ? -1 : 1)))
  const text = lockText({ lockfile: version, models })
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return false
  placeText(path, text)
  return true
}

/** The line on which an entry begins, from 1 on: where annotations point to. */
export function lineOf(path: string, name: string): number | undefined {
  if (!existsSync(path)) return undefined
  const lines = readFileSync(path, 'utf8').split('\n')
  const at = lines.findIndex((line) => line.startsWith(`    ${JSON.stringify(name)}: {`))
  return at < 0 ? undefined : at + 1
}

function parsed(path: string): Record<string, unknown> {
  try {
    const content: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (isRecord(content)) return content
  } catch (error) {
    throw checkLockMalformed(path, (error as Error).message)
  }
  throw checkLockMalformed(path, 'it is not an object')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const isText = (value: unknown) => typeof value === 'string'
const isNumber = (value: unknown) => typeof value === 'number'
const orNull = (is: (value: unknown) => boolean) => (value: unknown) => value === null || is(value)

const fields: readonly (readonly [name: string, is: (value: unknown) => boolean])[] = [
  ['model', isText],
  ['command', (value) => value === 'convert' || value === 'quantize'],
  ['options', isRecord],
  ['madeWith', isRecord],
  ['chosen', (value) => value === undefined || isChosen(value)],
  ['thresholds', (value) => isRecord(value) && Object.values(value).every(isLimit)],
  ['slack', (value) => isRecord(value) && ['outputs', 'errors', 'extremes', 'bytes'].every((n) => isNumber(value[n]))],
  ['files', isRecord],
  ['data', orNull(isRecord)],
  ['runtime', orNull(isText)],
  ['irVersion', isNumber],
  ['opsets', isRecord],
  ['bytes', isNumber],
  ['operators', isRecord],
  ['sites', (value) => isRecord(value) && Object.values(value).every(isRecord)],
  ['products', orNull((value) => isRecord(value) && isNumber(value.quantized) && isRecord(value.float))],
  ['warnings', Array.isArray],
  ['outputs', orNull((value) => isRecord(value) && Object.values(value).every(isOutput))],
]

function isChosen(value: unknown): boolean {
  return isRecord(value) && isText(value.recipe) && Array.isArray(value.keepFloat) && value.keepFloat.every(isText)
}

function isLimit(value: unknown): boolean {
  return isNumber(value) || (isRecord(value) && Object.values(value).every(isNumber))
}

function isOutput(value: unknown): boolean {
  if (!isRecord(value) || !isRecord(value.own) || !isRecord(value.error)) return false
  return isNumber(value.own.rms) && Array.isArray(value.own.sketch) && isNumber(value.error.maxAbs)
}
