import type { FlagTable } from '../../config/flag.ts'
import { grouped } from '../../config/flag.ts'
import { exitCodes } from '../../errors.ts'
import type { Arguments } from '../command.ts'
import { defineCommand } from '../command.ts'
import { printJson } from '../results.ts'
import { paintFor } from '../terminal.ts'

const flags = grouped('Checks:', {
  'exit-code': { type: 'boolean', describe: 'Exit 1 where the models differ' },
}) satisfies FlagTable

export const diffCommand = defineCommand({
  usage: ['diff <model> <other>'],
  describe: 'Say node by node what is different between two models; neither is run',
  flags,
  async run(args: Arguments<typeof flags> & { readonly other?: string }, { world }) {
    const { diff } = await import('../../diff.ts')
    const document = await diff(args.model, args.other as string)
    if (args.json) printJson(document, world)
    else if (!args.quiet) {
      const { summarizeDifference } = await import('../../report/index.ts')
      world.stdout.write(summarizeDifference(document, paintFor(world.stdout, world.env, args.color)))
    }
    return args['exit-code'] && !document.same ? exitCodes.checkFailed : exitCodes.done
  },
})
