import type { CompareOptions } from '../../compare.ts'
import { dataFlags, dataRequest, shardFlag } from '../../config/data-flags.ts'
import type { FlagTable } from '../../config/flag.ts'
import { grouped } from '../../config/flag.ts'
import { reportFlag } from '../../config/flags.ts'
import { exitCodes, usage } from '../../errors.ts'
import type { Arguments } from '../command.ts'
import { defineCommand } from '../command.ts'
import { progressOn } from '../progress.ts'
import { reporting } from '../reporting.ts'
import { printJson } from '../results.ts'
import { paintFor } from '../terminal.ts'
import { toleranceFlags, tolerancesOf } from '../tolerance-flags.ts'

const flags = {
  ...grouped('What to compare:', {
    layers: { type: 'boolean', describe: 'Every tensor that both have: the operator that moves away first' },
    bench: { type: 'boolean', describe: 'Times of both, run in turns on one thread' },
    outliers: { type: 'boolean', describe: 'With --no-outliers, leave out kurtosis and infinity norm of activations' },
    top: { type: 'number', requiresArg: true, describe: 'Classes that count as the best of a distribution; default 5' },
  }),
  ...toleranceFlags,
  ...reportFlag,
  ...grouped('Output:', { overwrite: { type: 'boolean', describe: 'Replace an existing report' } }),
  ...dataFlags,
  ...shardFlag,
} as const satisfies FlagTable

type Given = Arguments<typeof flags> & { readonly other?: string }

export const compareCommand = defineCommand({
  usage: ['compare <model> <other>'],
  describe: 'Run two models on the same data and say how near OTHER comes; exit 1 where it is too far away',
  flags,
  async run(args: Given, { world, signal }) {
    const request = dataRequest(args, signal)
    if (request === undefined)
      throw usage('there is no data', 'Name it with --data SOURCE, or make inputs up with --synthetic.')
    const [{ compare }, { write }] = await Promise.all([import('../../compare.ts'), reporting(args)])
    const progress = progressOn(world.stderr, world.now)
    const options: CompareOptions = {
      ...request.options,
      ...{ data: request.spec, layers: args.layers, bench: args.bench, outliers: args.outliers, top: args.top, signal },
      tolerances: tolerancesOf(args),
      onProgress: (phase, done, total) => {
        if (!args.quiet) progress.update(phase, done, total)
      },
    }
    try {
      const document = await compare(args.model, args.other as string, options)
      progress.end()
      await write(document)
      if (args.json) printJson(document, world)
      else if (!args.quiet) {
        const { summarizeComparison } = await import('../../report/index.ts')
        world.stdout.write(summarizeComparison(document, paintFor(world.stdout, world.env, args.color)))
      }
      return document.ok ? exitCodes.done : exitCodes.checkFailed
    } finally {
      progress.end()
    }
  },
})
