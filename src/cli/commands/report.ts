import { basename, dirname, extname, join } from 'node:path'
import { grouped } from '../../config/flag.ts'
import { exitCodes } from '../../errors.ts'
import { defineCommand } from '../command.ts'
import { printJson } from '../results.ts'

export const reportCommand = defineCommand({
  usage: ['report <model> [parts..]'],
  describe: 'Show what is known of a model on one page: of the model, tables and documents of --json',
  flags: grouped('Output:', {
    output: {
      type: 'string',
      alias: 'o',
      requiresArg: true,
      describe: 'Page to write, or with .json its numbers; default NAME.report.html',
    },
    'model-explorer': {
      type: 'string',
      requiresArg: true,
      describe: 'Write the numbers of nodes to DIR too, as custom node data of Model Explorer',
    },
    overwrite: { type: 'boolean', describe: 'Replace existing files' },
  }),
  async run(args, { world }) {
    const { report } = await import('../../report.ts')
    const { parts = [] } = args as typeof args & { readonly parts?: readonly string[] }
    const output = args.output ?? (args.json ? undefined : pageBeside(args.model))
    const { overwrite } = args
    const made = await report([args.model, ...parts], { output, modelExplorer: args['model-explorer'], overwrite })
    if (args.json) printJson(made, world)
    else if (!args.quiet) world.stdout.write(`Wrote ${output}.\n`)
    return exitCodes.done
  },
})

function pageBeside(model: string): string {
  return join(dirname(model), `${basename(model, extname(model)).replace(/\.report$/, '')}.report.html`)
}
