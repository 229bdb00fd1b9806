import { dataFlags, dataRequest } from '../../config/data-flags.ts'
import type { FlagTable } from '../../config/flag.ts'
import { grouped } from '../../config/flag.ts'
import { exitCodes, usage } from '../../errors.ts'
import type { SensitivityOptions } from '../../sensitivity.ts'
import { defineCommand } from '../command.ts'
import { progressOn } from '../progress.ts'
import { printJson } from '../results.ts'
import { paintFor } from '../terminal.ts'

const flags = {
  ...grouped('Quantization:', {
    recipe: {
      type: 'string',
      requiresArg: true,
      describe: 'What becomes an integer, as quantize takes it by name; default int8',
    },
    calibration: { type: 'string', requiresArg: true, describe: 'Use the calibration in TABLE' },
    'keep-float': {
      type: 'string',
      array: true,
      requiresArg: true,
      describe: 'Leave products out whose node name matches GLOB',
    },
  }),
  ...dataFlags,
} as const satisfies FlagTable

export const sensitivityCommand = defineCommand({
  usage: ['sensitivity <model>'],
  describe: 'Say what quantizing each product costs, the worst first',
  flags,
  async run(args, { world, signal }) {
    const request = dataRequest(args, signal)
    if (request === undefined) throw usage('there is no data', 'Name it with --data SOURCE.')
    const { sensitivity } = await import('../../sensitivity.ts')
    const progress = progressOn(world.stderr, world.now)
    const { recipe, calibration } = args
    const options: SensitivityOptions = {
      ...request.options,
      ...{ data: request.spec, recipe, calibration, keepFloat: args['keep-float'], signal },
      onProgress: (phase, done, total) => {
        if (!args.quiet) progress.update(phase, done, total)
      },
    }
    try {
      const document = await sensitivity(args.model, options)
      progress.end()
      if (args.json) printJson(document, world)
      else if (!args.quiet) {
        const { summarizeSensitivity } = await import('../../report/index.ts')
        world.stdout.write(summarizeSensitivity(document, paintFor(world.stdout, world.env, args.color)))
      }
      return exitCodes.done
    } finally {
      progress.end()
    }
  },
})
