import { hashFlag, targetFlags } from '../../config/flags.ts'
import { exitCodes } from '../../errors.ts'
import { defineCommand } from '../command.ts'
import { printJson } from '../results.ts'
import { paintFor } from '../terminal.ts'

export const checkTargetCommand = defineCommand({
  usage: ['check-target <model>'],
  describe:
    'Say what of a model a target cannot load or does not fuse, before an engine is built; nothing is converted',
  flags: { target: targetFlags.target, 'target-version': targetFlags['target-version'], ...hashFlag },
  async run(args, { world }) {
    const { checkTarget } = await import('../../check-target.ts')
    const { target, hash } = args
    const document = await checkTarget(args.model, { target, targetVersion: args['target-version'], hash })
    if (args.json) printJson(document, world)
    else if (!args.quiet) {
      const { summarizeTargetCheck } = await import('../../report/index.ts')
      world.stdout.write(summarizeTargetCheck(document, paintFor(world.stdout, world.env, args.color)))
    }
    return document.loads ? exitCodes.done : exitCodes.checkFailed
  },
})
