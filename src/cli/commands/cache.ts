import type { Store } from '../../cache/index.ts'
import type { FlagTable } from '../../config/flag.ts'
import { grouped } from '../../config/flag.ts'
import { cacheDirFlag } from '../../config/flags.ts'
import { exitCodes, usage } from '../../errors.ts'
import { alignRows, count, formatBytes } from '../../report/table.ts'
import type { Arguments, Environment } from '../command.ts'
import { defineCommand } from '../command.ts'
import { printJson } from '../results.ts'
import { paintFor } from '../terminal.ts'

const flags = {
  ...grouped('Cache:', {
    'older-than': { type: 'string', requiresArg: true, describe: 'prune: what was not used for so long: 30d, 12h' },
    'max-size': { type: 'string', requiresArg: true, describe: 'prune: the longest unused until so much is left: 2GB' },
  }),
  ...cacheDirFlag,
} as const satisfies FlagTable

type Given = Arguments<typeof flags> & { readonly action?: string }

export const cacheCommand = defineCommand({
  usage: ['cache <action>'],
  describe: 'List what is kept of earlier work (ls), or remove it (prune)',
  flags,
  async run(args: Given, environment) {
    if (args.action === 'ls') return list(args, environment)
    if (args.action === 'prune') return prune(args, environment)
    throw usage(`cache does not know "${args.action}"`, 'It knows ls and prune.')
  },
})

async function list(args: Given, { world }: Environment): Promise<number> {
  const idle = args['older-than'] === undefined ? args['max-size'] && 'max-size' : 'older-than'
  if (idle) throw usage(`--${idle} is about cache prune`)
  const store = await storeOf(args, world.env)
  const entries = store.list()
  if (args.json) printJson({ schema: 1, command: 'cache', folder: store.folder, entries }, world)
  else if (!args.quiet) {
    const paint = paintFor(world.stdout, world.env, args.color)
    const rows = entries.map(({ key, label, bytes, lastUsed }) => [
      { text: key.slice(0, 12), paint: paint.faint },
      { text: formatBytes(bytes) },
      { text: ago(world.date() - lastUsed) },
      { text: label },
    ])
    world.stdout.write(`${[store.folder, ...alignRows(rows), total(entries)].join('\n')}\n`)
  }
  return exitCodes.done
}

async function prune(args: Given, { world }: Environment): Promise<number> {
  const store = await storeOf(args, world.env)
  const age = durationOf(args['older-than'])
  const { removed, kept } = store.prune({ now: world.date(), age, bytes: sizeOf(args['max-size']) })
  if (args.json) printJson({ schema: 1, command: 'cache', folder: store.folder, removed, kept }, world)
  else if (!args.quiet) world.stdout.write(`removed ${total(removed)}, kept ${total(kept)}\n`)
  return exitCodes.done
}

async function storeOf(args: Given, env: Environment['world']['env']): Promise<Store> {
  const { cacheFolder, Store } = await import('../../cache/index.ts')
  return new Store(args['cache-dir'] ?? cacheFolder(env))
}

function total(entries: readonly { readonly bytes: number }[]): string {
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0)
  return `${count(entries.length, 'result')}, ${formatBytes(bytes)}`
}

const units = { d: 86_400_000, h: 3_600_000, m: 60_000 } as const

function durationOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, digits, unit] = /^(\d+)([dhm])$/.exec(text) ?? []
  if (digits === undefined) throw usage(`--older-than "${text}" is no length of time`, 'Write 30d, 12h or 90m.')
  return Number(digits) * units[unit as keyof typeof units]
}

const powers = ['B', 'KB', 'MB', 'GB', 'TB']

function sizeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, digits, unit = 'B'] = /^(\d+(?:\.\d+)?)\s*([kmgt]?b)?$/i.exec(text) ?? []
  if (digits === undefined) throw usage(`--max-size "${text}" is no size`, 'Write 2GB or 500MB.')
  return Number(digits) * 1000 ** powers.indexOf(unit.toUpperCase())
}

function ago(milliseconds: number): string {
  for (const [unit, length] of Object.entries(units))
    if (milliseconds >= length) return `${Math.floor(milliseconds / length)}${unit} ago`
  return 'just now'
}
