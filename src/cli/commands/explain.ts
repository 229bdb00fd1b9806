import { exitCodes } from '../../errors.ts'
import { defineCommand } from '../command.ts'
import { hashFlag, siteFlags, siteOptions } from '../flags.ts'
import { print } from '../results.ts'

export const explainCommand = defineCommand({
  usage: ['explain <model>'],
  describe: 'Say for every softmax of a model what it is, and why',
  flags: { ...siteFlags, ...hashFlag },
  async run(args, { world }) {
    const { explain } = await import('../../explain.ts')
    await print(await explain(args.model, { ...siteOptions(args), hash: args.hash }), args, world)
    return exitCodes.done
  },
})
