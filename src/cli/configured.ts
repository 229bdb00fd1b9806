import { relative } from 'node:path'
import type { ConfigurableCommand, LoadedEntry, Setting } from '../config/index.ts'
import { entryOf, findConfig, keyOf, loadConfig, settle } from '../config/index.ts'
import { type ConvertError, exitCodes, interrupted, usage } from '../errors.ts'
import { alignRows } from '../report/table.ts'
import type { Arguments, Command, Environment } from './command.ts'
import { nameOf } from './command.ts'
import { printFailure } from './failure.ts'
import { printJson } from './results.ts'
import type { Output } from './world.ts'

/** What yargs read: flags by their names as they are written, and the model. */
export type Given = Readonly<Record<string, unknown>>

/** One run of a command on one model, with the settings of all sources. */
interface Job {
  readonly command: Command
  readonly model: string | undefined
  readonly settings: ReadonlyMap<string, Setting>
  /** The config file that has settings of it; for a command without settings there, what was asked for. */
  readonly config: string | false | undefined
}

/** What was asked for: the words, the command they mean, and whether they name it. */
export interface Asked {
  readonly argv: readonly string[]
  readonly command: Command
  readonly given: Given
  readonly commands: readonly Command[]
}

/**
 * Runs a command with the settings of the command line, the environment and the config file. Without a model it runs on
 * every model the config file names: `convert` or `quantize` as each entry says, or only the one of the two that is asked for.
 */
export async function runConfigured(asked: Asked, environment: Environment): Promise<number> {
  const jobs = await jobsOf(asked, environment)
  if (asked.given['print-config']) return printSettings(jobs, asked, environment)
  const [first] = jobs
  return first !== undefined && jobs.length === 1 ? run(first, asked, environment) : runAll(jobs, asked, environment)
}

async function jobsOf({ argv, command, given, commands }: Asked, { world: { env } }: Environment): Promise<Job[]> {
  const model = given.model as string | undefined
  const job = (one: Command, target: string | undefined, entry: LoadedEntry | undefined): Job => ({
    command: one,
    model: target,
    settings: settle(one.flags, { given, env, entries: entry === undefined ? [] : [entry] }),
    config: entry?.path,
  })
  const configurable = command.usage.some((words) => words.includes('[model]'))
  if (!configurable) return [{ ...job(command, model, undefined), config: given.config as string | false | undefined }]
  const entries = await entriesOf(given)
  if (model !== undefined) {
    return [job(command, model, entryOf(model, nameOf(command) as ConfigurableCommand, entries))]
  }
  const wanted = argv[0] === nameOf(command) ? [nameOf(command)] : ['convert', 'quantize']
  const jobs = entries.flatMap((entry) => {
    const own = commands.find((one) => nameOf(one) === entry.command)
    if (own === undefined || entry.model === undefined || !wanted.includes(entry.command)) return []
    return [job(own, relative('', entry.model), entry)]
  })
  if (jobs.length > 0) return jobs
  throw noModel()
}

/** What the config file says, by the flag or found; nothing where the flag says that none is to be read. */
export async function entriesOf({ config }: Given): Promise<LoadedEntry[]> {
  if (config === false) return []
  const path = (config as string | undefined) ?? findConfig('')
  return path === undefined ? [] : loadConfig(path)
}

function run({ command, model, settings, config }: Job, { given }: Asked, environment: Environment): Promise<number> {
  const values = Object.fromEntries(Array.from(settings, ([name, { value }]) => [name, value]))
  return command.run({ ...given, ...values, model, config } as unknown as Arguments<Command['flags']>, environment)
}

/** Runs all jobs, also behind one that fails; gives the exit code of the first failure. */
async function runAll(jobs: readonly Job[], asked: Asked, environment: Environment): Promise<number> {
  const { world, signal } = environment
  const documents: unknown[] = []
  let code: number = exitCodes.done
  for (const job of jobs) {
    let text = ''
    const stdout: Output = { ...world.stdout, write: (more) => (text += more) }
    const own = asked.given.json ? { ...world, stdout } : world
    let ended: number
    try {
      if (signal.aborted) throw interrupted()
      ended = await run(job, asked, { ...environment, world: own })
    } catch (error) {
      ended = printFailure(error, [nameOf(job.command), ...asked.argv], own)
    }
    if (code === exitCodes.done) code = ended
    if (asked.given.json) documents.push(JSON.parse(text))
    if (signal.aborted) break
  }
  if (asked.given.json) printJson({ schema: 1, command: 'build', documents }, world)
  return code
}

function printSettings(jobs: readonly Job[], { given }: Asked, { world }: Environment): number {
  const listed = jobs.map(({ command, model = null, settings }) => {
    const all = Object.keys(command.flags).map((name): [string, Setting] => [
      keyOf(name),
      settings.get(name) ?? { value: null, origin: 'default' },
    ])
    return { command: nameOf(command), model, settings: Object.fromEntries(all) }
  })
  if (given.json) printJson({ schema: 1, command: 'print-config', entries: listed }, world)
  else for (const entry of listed) world.stdout.write(settingsText(entry))
  return exitCodes.done
}

interface Listed {
  readonly command: string
  readonly model: string | null
  readonly settings: Readonly<Record<string, Setting>>
}

function settingsText({ command, model, settings }: Listed): string {
  const rows = Object.entries(settings).map(([key, { value, origin }]) => [
    { text: key },
    { text: value === null ? '' : JSON.stringify(value) },
    { text: origin },
  ])
  return `${command} ${model ?? ''}\n${alignRows(rows).join('\n')}\n\n`
}

/** What a command says that was given nothing to work on. */
export function noModel(): ConvertError {
  return usage('no model is named', 'Name an ONNX file behind the command, or models in a config file.')
}
