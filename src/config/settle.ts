import { existsSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { settingsWrong } from '../errors.ts'
import { closest } from '../names.ts'
import type { Flag, FlagTable } from './flag.ts'
import { keyOf, variableOf } from './flag.ts'
import type { LoadedEntry } from './load.ts'

/** The value of a setting and who gave it: the command line, an environment variable or a config file. */
export interface Setting {
  readonly value: unknown
  readonly origin: string
}

interface Sources {
  /** What was given on the command line, by the names of flags. */
  readonly given: Readonly<Record<string, unknown>>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Entries of config files, the one that goes first first. */
  readonly entries: readonly LoadedEntry[]
}

/**
 * The settings that are not left at their defaults, by the names of their flags. The command line goes before the
 * environment, the environment before the config file. Throws `settings-wrong`, which names all that mean nothing.
 */
export function settle(flags: FlagTable, { given, env, entries }: Sources): ReadonlyMap<string, Setting> {
  const faults = entries.flatMap((entry) => unknownKeys(flags, entry))
  const settings = new Map<string, Setting>()
  for (const [name, flag] of Object.entries(flags)) {
    const found = [fromCommandLine, fromEnvironment, fromFile].map((look) => look()).find((one) => one !== undefined)
    if (found === undefined) continue
    const fault = found.origin === 'command line' ? undefined : faultOf(flag, found.value)
    if (fault === undefined) settings.set(name, found)
    else
      faults.push(
        `"${entryKey(found, name)}" ${found.origin === variableOf(name) ? '' : `in ${found.origin} `}${fault}`,
      )

    function fromCommandLine(): Setting | undefined {
      return given[name] === undefined ? undefined : { value: given[name], origin: 'command line' }
    }
    function fromEnvironment(): Setting | undefined {
      const text = env[variableOf(name)]
      return text === undefined || text === '' ? undefined : { value: parse(flag, text), origin: variableOf(name) }
    }
    function fromFile(): Setting | undefined {
      const entry = entries.find(({ settings: own }) => own[keyOf(name)] !== undefined)
      if (entry === undefined) return undefined
      return { value: placed(flag, entry.settings[keyOf(name)], entry.path), origin: nameOf(entry) }
    }
  }
  if (faults.length > 0) throw settingsWrong(faults)
  return settings
}

function entryKey({ origin }: Setting, name: string): string {
  return origin === variableOf(name) ? origin : keyOf(name)
}

function unknownKeys(flags: FlagTable, entry: LoadedEntry): string[] {
  const known = Object.keys(flags).map(keyOf)
  return Object.keys(entry.settings)
    .filter((key) => !known.includes(key))
    .map((key) => {
      const similar = closest(key, known)
      const meant = similar === undefined ? '' : ` (did you mean "${similar}"?)`
      return `"${key}" in ${nameOf(entry)} is no setting${meant}`
    })
}

/** A config file as a person would name it from here. */
function nameOf({ path, called }: LoadedEntry): string {
  if (called !== undefined) return called
  const short = relative('', path)
  return short.startsWith('..') ? path : short
}

/** A value written as text. What is not of its kind stays text and is refused later. */
function parse({ type, array }: Flag, text: string): unknown {
  if (array) return text.startsWith('[') ? parseList(text) : [text]
  if (type === 'boolean') return { '1': true, true: true, '0': false, false: false }[text.toLowerCase()] ?? text
  if (type === 'number') return text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text)
  return text
}

function parseList(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** A value of a config file: a path is seen from there, and a number does where a text is meant (`sinks: -2`). */
function placed({ type = 'string', path: isPath }: Flag, value: unknown, config: string): unknown {
  if (type === 'string' && typeof value === 'number') return String(value)
  if (!isPath || typeof value !== 'string') return value
  const from = resolve(dirname(config), value)
  return isPath === 'or-name' && !existsSync(from) ? value : relative('', from) || '.'
}

function faultOf(flag: Flag, value: unknown): string | undefined {
  if (flag.array) {
    if (!Array.isArray(value)) return 'is a list'
    return value.map((one) => faultOf({ ...flag, array: false }, one)).find((fault) => fault !== undefined)
  }
  const { type = 'string', choices } = flag
  const words = { string: 'a text', number: 'a number', boolean: 'true or false' }
  if (typeof value !== type) return `is ${words[type]}, not ${JSON.stringify(value)}`
  if (choices !== undefined && !choices.includes(String(value))) {
    return `is ${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}, not ${JSON.stringify(value)}`
  }
  return undefined
}
