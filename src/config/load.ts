import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ConvertError, configUnreadable } from '../errors.ts'
import type { ConfigurableCommand } from './configurable.ts'

/** One entry of a config file, unchecked: what it says and where it stands. */
export interface LoadedEntry {
  readonly command: ConfigurableCommand
  readonly model: string | undefined
  readonly settings: Readonly<Record<string, unknown>>
  /** The config file; paths are relative to its folder. */
  readonly path: string
  /** What it is called, where it is no file. */
  readonly called?: string
}

const names = ['ts', 'mts', 'mjs', 'js', 'json'].map((extension) => `outeffhop.config.${extension}`)

/** The config file of a folder: in it, or in the nearest folder above that has one, up to the top of the repository. */
export function findConfig(folder: string): string | undefined {
  for (let at = resolve(folder); ; at = dirname(at)) {
    const found = names.map((name) => join(at, name)).find((path) => existsSync(path))
    if (found !== undefined || existsSync(join(at, '.git')) || dirname(at) === at) return found
  }
}

/** The entries of a config file. Throws `config-unreadable` for a file that gives none. */
export async function loadConfig(file: string): Promise<LoadedEntry[]> {
  const path = resolve(file)
  if (!existsSync(path)) throw configUnreadable(path, 'there is no such file')
  const given = await called(path.endsWith('.json') ? readJson(path) : await importDefault(path))
  const entries = Array.isArray(given) ? given : [given]
  return entries.map((entry) => checkedEntry(entry, path))
}

/** The entry of a model: the one that names it, else one for every model. */
export function entryOf(
  model: string,
  command: ConfigurableCommand,
  entries: readonly LoadedEntry[],
): LoadedEntry | undefined {
  const own = entries.filter((entry) => entry.command === command)
  return own.find((entry) => entry.model === resolve(model)) ?? own.find((entry) => entry.model === undefined)
}

async function called(given: unknown): Promise<unknown> {
  return typeof given === 'function' ? called(await given()) : given
}

function checkedEntry(entry: unknown, path: string): LoadedEntry {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    throw configUnreadable(
      path,
      `an entry is ${entry === undefined ? 'missing: it has no default export' : 'no object'}`,
    )
  }
  const { command = 'convert', model, $schema: _, ...settings } = entry as Record<string, unknown>
  if (command !== 'convert' && command !== 'quantize') {
    throw configUnreadable(path, `"command" is convert or quantize, not ${JSON.stringify(command)}`)
  }
  if (model !== undefined && typeof model !== 'string') throw configUnreadable(path, '"model" is no path')
  return { command, model: model === undefined ? undefined : resolve(dirname(path), model), settings, path }
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8').replace(/^\uFEFF/, ''))
  } catch (error) {
    throw configUnreadable(path, (error as Error).message, error)
  }
}

async function importDefault(path: string): Promise<unknown> {
  try {
    return (await importModule(path)).default
  } catch (error) {
    if (error instanceof ConvertError) throw error
    throw configUnreadable(path, error instanceof Error ? error.message : String(error), error)
  }
}

/** Types of Node 20 do not know of it. */
const readsTypeScript = Boolean((process.features as { readonly typescript?: string | false }).typescript)

/** Node reads TypeScript by itself from 22.18 on; before, the package jiti does where it is installed. */
async function importModule(path: string): Promise<{ readonly default?: unknown }> {
  const url = pathToFileURL(path).href
  if (!path.endsWith('ts') || readsTypeScript) return import(url)
  let jiti: typeof import('jiti')
  try {
    jiti = await import('jiti')
  } catch (error) {
    throw configUnreadable(path, 'this Node reads no TypeScript', error)
  }
  return jiti.createJiti(import.meta.url).import(path)
}
