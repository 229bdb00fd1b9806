import type { Pace } from '../../calibrate/index.ts'
import type { CalibrateOptions } from '../../calibrate.ts'
import { dataFlags, dataRequest, shardFlag } from '../../config/data-flags.ts'
import type { FlagTable } from '../../config/flag.ts'
import { grouped } from '../../config/flag.ts'
import { reportFlag } from '../../config/flags.ts'
import { exitCodes, usage } from '../../errors.ts'
import { protocols } from '../../quantize/recipes.ts'
import type { Arguments, Environment } from '../command.ts'
import { defineCommand } from '../command.ts'
import { progressOn } from '../progress.ts'
import { reporting } from '../reporting.ts'
import { printJson } from '../results.ts'
import { paintFor } from '../terminal.ts'

const flags = {
  ...grouped('Output:', {
    output: {
      type: 'string',
      alias: 'o',
      requiresArg: true,
      describe: 'Table to write; default NAME.calibration.json',
    },
    overwrite: { type: 'boolean', describe: 'Replace an existing table' },
    resume: { type: 'boolean', describe: 'Go on with the table that is there' },
  }),
  ...reportFlag,
  ...grouped('Observers:', {
    method: {
      type: 'string',
      choices: ['all', 'min-max', 'moving-average'],
      requiresArg: true,
      describe: 'What ranges can be made of the table: all methods (default), or the two that need no histogram',
    },
    all: { type: 'boolean', describe: 'Observe every float, not only what meets a weight' },
    protocol: {
      type: 'string',
      choices: protocols,
      requiresArg: true,
      describe: 'Observe what the published protocol needs: running extremes of every float',
    },
    moments: { type: 'boolean', describe: 'Observe kurtosis and infinity norm' },
    granularity: {
      type: 'string',
      choices: ['sequence', 'token', 'tensor'],
      requiresArg: true,
      describe: 'What a kurtosis is of, with --moments: each sequence (default), each token or all of a tensor',
    },
  }),
  ...dataFlags,
  ...shardFlag,
} as const satisfies FlagTable

type Given = Arguments<typeof flags> & { readonly parts?: readonly string[] }

export const calibrateCommand = defineCommand({
  usage: ['calibrate <model> [parts..]'],
  describe: 'Observe a model on data; calibrate merge PART… puts parts of a table together',
  flags,
  async run(args: Given, environment) {
    return args.model === 'merge' ? merge(args, environment) : observe(args, environment)
  },
})

async function observe(args: Given, { world, signal }: Environment): Promise<number> {
  const [extra] = args.parts ?? []
  if (extra !== undefined) throw usage(`"${extra}" is one argument too many`, 'One model at a time.')
  if (args.granularity !== undefined && !args.moments)
    throw usage('--granularity is about --moments, which is not given')
  if (args.protocol !== undefined && args.method !== undefined && args.method !== 'moving-average')
    throw usage(`--method ${args.method} contradicts --protocol ${args.protocol}`, 'It takes the moving average.')
  const request = dataRequest(args, signal)
  if (request === undefined) throw usage('there is no data', 'Name it with --data SOURCE.')
  const { calibrate } = await import('../../calibrate.ts')
  const { observations, write } = await reporting(args)
  const progress = progressOn(world.stderr, world.now)
  // The first sample waits for the model to load, and says nothing of the pace.
  let first: number | undefined
  const onProgress = (pace: Pace) => {
    first ??= world.now()
    if (!args.quiet) progress.update('calibrating', pace.done, pace.total, paceWords(pace, world.now() - first))
  }
  const options: CalibrateOptions = {
    ...{ ...request.options, signal, onProgress },
    ...{ data: request.spec, output: args.output, overwrite: args.overwrite, resume: args.resume },
    ...{ all: args.all ?? args.protocol !== undefined, method: methodOf(args), observations },
    moments: args.moments ? (args.granularity ?? 'sequence') : undefined,
  }
  try {
    const document = await calibrate(args.model, options)
    progress.end()
    await write(document)
    return await print(document, args, world)
  } finally {
    progress.end()
  }
}

function methodOf({ method, protocol }: Given): CalibrateOptions['method'] {
  return method ?? (protocol === undefined ? undefined : 'moving-average')
}

async function merge(args: Given, { world }: Environment): Promise<number> {
  const { parts = [], output, overwrite } = args
  if (output === undefined) throw usage('the table to write is missing', 'Name it with -o TABLE.')
  const { mergeCalibrations } = await import('../../calibrate.ts')
  const { observations, write } = await reporting(args)
  const document = await mergeCalibrations(parts, { output, overwrite, observations })
  await write(document)
  return print(document, args, world)
}

async function print(
  document: Parameters<typeof import('../../report/index.ts').summarizeCalibration>[0],
  args: Given,
  world: Environment['world'],
): Promise<number> {
  if (args.json) printJson(document, world)
  else if (!args.quiet) {
    const { summarizeCalibration } = await import('../../report/index.ts')
    world.stdout.write(summarizeCalibration(document, paintFor(world.stdout, world.env, args.color)))
  }
  return exitCodes.done
}

/** `12.3 samples/s, 40 s left, 410 MB`. */
function paceWords({ done, total, now, memory }: Pace, milliseconds: number): string {
  const size = `${Math.round(memory / 1e6)} MB`
  if (now < 2) return size
  const rate = (now - 1) / (milliseconds / 1000)
  return `${rate.toFixed(1)} samples/s, ${Math.ceil((total - done) / rate)} s left, ${size}`
}
