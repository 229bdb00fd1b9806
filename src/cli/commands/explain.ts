import { hashFlag, siteFlags, siteOptions } from '../../config/flags.ts'
import { exitCodes } from '../../errors.ts'
import { defineCommand } from '../command.ts'
import { print } from '../results.ts'

export const explainCommand = defineCommand({
  usage: ['explain <model>'],
  describe: 'Say for every softmax of a model what it is, and why',
  flags: {
    ...siteFlags,
    ...hashFlag,
    calibration: {
      type: 'string',
      requiresArg: true,
      describe: 'Say what Softmax1 changes, by the calibration in TABLE',
    },
  },
  async run(args, { world }) {
    const { explain } = await import('../../explain.ts')
    const { hash, calibration } = args
    await print(await explain(args.model, { ...siteOptions(args), hash, calibration }), args, world)
    return exitCodes.done
  },
})
