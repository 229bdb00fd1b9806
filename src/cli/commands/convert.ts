import { exitCodes } from '../../errors.ts'
import type { ConvertOptions } from '../../options.ts'
import { stages } from '../../rewrite/pass.ts'
import type { Arguments, FlagTable } from '../command.ts'
import { defineCommand } from '../command.ts'
import { grouped, hashFlag, siteFlags, siteOptions, targetFlags } from '../flags.ts'
import { progressOn } from '../progress.ts'
import { print } from '../results.ts'

const flags = {
  ...grouped('Output:', {
    output: { type: 'string', alias: 'o', requiresArg: true, describe: 'File to write; default NAME.outeffhop.onnx' },
    overwrite: { type: 'boolean', describe: 'Replace an existing output' },
    'external-data': {
      type: 'string',
      choices: ['auto', 'always', 'never', 'link'],
      requiresArg: true,
      describe: 'Weights of 1 KiB and more in a file of their own: auto (default), always, never, or link to the input',
    },
  }),
  ...hashFlag,
  ...grouped('Conversion:', {
    sink: {
      type: 'number',
      requiresArg: true,
      describe: 'Logit added to every denominator; default 0, which is Softmax1',
    },
  }),
  ...siteFlags,
  ...targetFlags,
  ...grouped('Checks:', {
    'dry-run': { type: 'boolean', describe: 'Find and rewrite, write nothing' },
    'require-all': { type: 'boolean', describe: 'Exit 1 if any attention, or a site to review, is left' },
    'allow-none': { type: 'boolean', describe: 'Exit 0 if there is nothing to convert' },
    verify: { type: 'boolean', describe: 'Do not run the result in ONNX Runtime' },
    'stop-after': {
      type: 'string',
      choices: stages.filter((stage) => stage !== 'lower'),
      requiresArg: true,
      describe: 'Write the model as text after a stage: recognize, hopfield, adapt or quantize',
    },
    dump: { type: 'string', requiresArg: true, describe: 'Write the model as text to DIR after every pass' },
  }),
} as const satisfies FlagTable

export const convertCommand = defineCommand({
  usage: ['$0 <model>', 'convert <model>'],
  describe: 'Convert a model (the default command)',
  flags,
  async run(args, { world, signal }) {
    const { convert, ConversionRefused } = await import('../../convert.ts')
    const progress = progressOn(world.stderr, world.now)
    const onProgress: ConvertOptions['onProgress'] = (phase, done, total) => {
      if (!args.quiet) progress.update(phrases[phase], done, total)
    }
    try {
      const { document } = await convert(args.model, { ...optionsOf(args), signal, onProgress })
      progress.end()
      await print(document, args, world)
      return exitCodes.done
    } catch (error) {
      progress.end()
      if (error instanceof ConversionRefused && !args.json) await print(error.document, args, world)
      throw error
    }
  },
})

const phrases = { convert: 'converting', write: 'writing', verify: 'trying the result' } as const

function optionsOf(args: Arguments<typeof flags>): ConvertOptions {
  const { output, target, provider, sink, form, overwrite, hash, verify, dump } = args
  return {
    ...siteOptions(args),
    ...{ output, target, provider, sink, form, overwrite, hash, verify, dump },
    targetVersion: args['target-version'],
    externalData: args['external-data'],
    dryRun: args['dry-run'],
    requireAll: args['require-all'],
    allowNone: args['allow-none'],
    stopAfter: args['stop-after'],
  }
}
