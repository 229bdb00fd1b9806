import { appendFileSync } from 'node:fs'
import { relative, resolve, sep } from 'node:path'
import type { CheckOptions, ModelToRecord, Thresholds } from '../../check/index.ts'
import { convertFlags, convertOptions } from '../../config/convert-flags.ts'
import type { FlagTable } from '../../config/flag.ts'
import { grouped, variableOf } from '../../config/flag.ts'
import { cacheDirFlag } from '../../config/flags.ts'
import type { LoadedEntry } from '../../config/index.ts'
import { configurable, entryOf, settle } from '../../config/index.ts'
import { quantizeFlags, quantizeOptions } from '../../config/quantize-flags.ts'
import { exitCodes, usage } from '../../errors.ts'
import type { CheckDocument } from '../../report/index.ts'
import type { Arguments } from '../command.ts'
import { defineCommand } from '../command.ts'
import { entriesOf } from '../configured.ts'
import { progressOn } from '../progress.ts'
import { printJson } from '../results.ts'
import { paintFor } from '../terminal.ts'
import type { World } from '../world.ts'

/** How a model is made, less where the result goes: that is made in a temporary folder. */
const elsewhere = ['output', 'overwrite', 'hash', 'depfile', 'dry-run', 'stop-after', 'dump'] as const
const { recipe, 'max-drop': maxDrop } = quantizeFlags
const makingFlags = { ...without(convertFlags, elsewhere), recipe, 'max-drop': maxDrop }

const flags = {
  ...grouped('Check:', {
    lock: { type: 'string', requiresArg: true, path: true, describe: 'Default: outeffhop.lock.json' },
    update: { type: 'boolean', describe: 'Record what is, in the place of comparing' },
    name: { type: 'string', requiresArg: true, describe: 'With --update: a name for a second entry of one model' },
    junit: { type: 'string', requiresArg: true, path: true, describe: 'Write the result to FILE as JUnit XML too' },
  }),
  ...makingFlags,
  ...grouped('Thresholds, recorded with --update:', {
    'min-cosine': { type: 'number', requiresArg: true, describe: 'Least cosine between an output and its original' },
    'min-sqnr': { type: 'number', requiresArg: true, describe: 'Least signal-to-noise ratio of an output, in dB' },
    'max-error': { type: 'number', requiresArg: true, describe: 'Largest distance of two elements of an output' },
  }),
  ...grouped('Cache:', {
    cache: {
      type: 'boolean',
      onByDefault: true,
      describe: 'Do not use what earlier checks found: make every model again',
    },
  }),
  ...cacheDirFlag,
} as const satisfies FlagTable

type Given = Arguments<typeof flags> & { readonly models?: readonly (string | number)[] }

export const checkCommand = defineCommand({
  usage: ['check [models..]'],
  describe: 'Say whether models still become what they became; --update records it, with the options of a conversion',
  flags,
  async run(given: Given, { world, signal }) {
    const args = asWritten(given, world)
    const [{ check }, { cacheFolder }] = await Promise.all([
      import('../../check/index.ts'),
      import('../../cache/index.ts'),
    ])
    const progress = progressOn(world.stderr, world.now)
    const options: CheckOptions = {
      ...makingOptions(args),
      ...{ lock: args.lock, update: args.update, name: args.name, thresholds: thresholdsOf(args), signal },
      cache: args.cache === false ? undefined : (args['cache-dir'] ?? cacheFolder(world.env)),
      onProgress: (name, phase, done, total) => {
        if (!args.quiet) progress.update(`${name}: ${phase}`, done, total)
      },
    }
    try {
      const document = await check(await modelsOf(args), options)
      progress.end()
      await print(document, args, world)
      await tellCi(document, args, world)
      return exitCodeOf(document)
    } finally {
      progress.end()
    }
  },
})

/**
 * The models of a call. With --update a config file says how they are made, flags before it: the entry that names a model,
 * or the one for every model where the lock file does not have it yet. Without names, all models of the config file.
 */
async function modelsOf(args: Given): Promise<(string | ModelToRecord)[]> {
  const models = (args.models ?? []).map(String)
  if (!args.update) return models
  const entries = await entriesOf(args)
  const { defaultLock, readLock } = await import('../../check/index.ts')
  const lock = readLock(args.lock ?? defaultLock)
  const asked = Object.keys(makingFlags).filter((name) => args[name as keyof Given] !== undefined)
  const listed = models.length > 0 ? models : entries.flatMap(({ model }) => (model ? [relative('', model)] : []))
  return [...new Set(listed)].map((model) => {
    const both = (['convert', 'quantize'] as const)
      .filter((command) => asked.every((name) => name in configurable[command]))
      .map((command) => entryOf(model, command, entries))
    const entry = both.find((one) => one?.model !== undefined) ?? (lock?.has(model) ? undefined : (both[0] ?? both[1]))
    return entry ? { model, ...entryOptions(args, entry) } : model
  })
}

/** How an entry of a config file and flags before it make a model. */
function entryOptions(args: Given, entry: LoadedEntry): Omit<ModelToRecord, 'model'> {
  const { command } = entry
  const own = Object.fromEntries(Object.entries(args).filter(([name]) => name in configurable[command]))
  const settled = settle(configurable[command], { given: own, env: {}, entries: [entry] })
  const values = Object.fromEntries(Array.from(settled, ([name, { value }]) => [name, value]))
  const making = without(values as Given & Record<(typeof elsewhere)[number], unknown>, elsewhere)
  return command === 'convert'
    ? { convert: compact(convertOptions(withoutIdle(making))) }
    : { quantize: compact(quantizeOptions(making)) }
}

/** Without quantization the least cosine is a threshold only. */
function withoutIdle<A extends Partial<Given>>(args: A): A {
  return args.quantize === undefined ? { ...args, 'min-cosine': undefined } : args
}

/** What is asked to be recorded; data alone says where the data is. */
function makingOptions(args: Given): Pick<CheckOptions, 'convert' | 'quantize' | 'data'> {
  const { quantize, data } = args
  if (quantize === undefined && (args.recipe !== undefined || args['max-drop'] !== undefined)) {
    const isIdle = (name: string) => !(name in quantizeFlags) && args[name as keyof Given] !== undefined
    const idle = Object.keys(makingFlags).find(isIdle)
    if (idle !== undefined) throw usage(`--${idle} is about a conversion, and --recipe only quantizes`)
    return { quantize: compact(quantizeOptions(args)) }
  }
  if (args.recipe !== undefined) throw usage('--recipe only quantizes, and --quantize converts too: give one of them')
  const convert = compact(convertOptions(withoutIdle(args)))
  if (Object.keys(convert).length === 0) return {}
  return data !== undefined && Object.keys(convert).length === 1 ? { data } : { convert }
}

/** Variables of the environment say how to convert; what is compared is made as the lock file says. */
function asWritten(args: Given, { env }: World): Given {
  if (args.update) return args
  const set = [...Object.keys(makingFlags), 'name', 'min-cosine', 'min-sqnr', 'max-error'].filter(
    (name) => (env[variableOf(name)] ?? '') !== '',
  )
  return without(args, set as (keyof Given)[]) as Given
}

function without<T extends object, const K extends keyof T>(record: T, names: readonly K[]): Omit<T, K> {
  const left = Object.entries(record).filter(([name]) => !names.includes(name as K))
  return Object.fromEntries(left) as unknown as Omit<T, K>
}

function thresholdsOf(args: Given): Thresholds | undefined {
  const { 'min-cosine': minCosine, 'min-sqnr': minSqnrDb, 'max-error': maxAbs } = args
  const given = compact({ minCosine, minSqnrDb, maxAbs })
  return Object.keys(given).length === 0 ? undefined : given
}

/** Without what was not given: fields that are undefined, lists and objects without content. */
function compact<T extends object>(options: T): T {
  const plain = JSON.parse(JSON.stringify(options)) as T
  return Object.fromEntries(
    Object.entries(plain)
      .map(([name, value]) => [name, isPlain(value) ? compact(value) : value])
      .filter(([, value]) => typeof value !== 'object' || Object.keys(value as object).length > 0),
  ) as T
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

async function print(document: CheckDocument, args: Given, world: World): Promise<void> {
  if (args.json) return printJson(document, world)
  if (args.quiet) return
  const { summarizeCheck } = await import('../../report/index.ts')
  world.stdout.write(summarizeCheck(document, paintFor(world.stdout, world.env, args.color)))
}

/** A JUnit file where one was asked for; annotations and a summary where GitHub runs the program. */
async function tellCi(document: CheckDocument, { junit }: Given, { env, stderr }: World): Promise<void> {
  const { annotationCommand, checkAnnotations, checkJunit, checkSummary } = await import('../../report/index.ts')
  const { placeText } = await import('../../emit/index.ts')
  if (junit !== undefined) placeText(junit, checkJunit(document))
  if (env.GITHUB_ACTIONS !== 'true') return
  const { lineOf } = await import('../../check/index.ts')
  const lock = inRepository(document.lock, env)
  for (const annotation of checkAnnotations({ ...document, lock }, (name) => lineOf(document.lock, name)))
    stderr.write(`${annotationCommand(annotation)}\n`)
  if (env.GITHUB_STEP_SUMMARY) appendFileSync(env.GITHUB_STEP_SUMMARY, checkSummary(document))
}

/** A path as GitHub knows files: from the root of the repository. */
function inRepository(path: string, { GITHUB_WORKSPACE: workspace = '' }: World['env']): string {
  return workspace === '' ? path : relative(workspace, resolve(path)).split(sep).join('/')
}

/** That of the first model that could not be checked; else whether anything changed. */
function exitCodeOf({ models, ok }: CheckDocument): number {
  const failed = models.find(({ error }) => error !== null)?.error
  return failed ? exitCodes[failed.kind] : ok ? exitCodes.done : exitCodes.checkFailed
}
