import { convertFlags, convertOptions } from '../../config/convert-flags.ts'
import { exitCodes } from '../../errors.ts'
import type { ConvertOptions } from '../../options.ts'
import { defineCommand } from '../command.ts'
import { writeDepfile } from '../depfile.ts'
import { progressOn } from '../progress.ts'
import { reporting } from '../reporting.ts'
import { print } from '../results.ts'

export const convertCommand = defineCommand({
  usage: ['$0 [model]', 'convert [model]'],
  describe: 'Convert a model (the default command)',
  flags: convertFlags,
  async run(args, { world, signal }) {
    const [{ convert }, { ConversionRefused }] = await Promise.all([
      import('../../convert.ts'),
      import('../../refused.ts'),
    ])
    const { observations, write } = await reporting(args)
    const progress = progressOn(world.stderr, world.now)
    const onProgress: ConvertOptions['onProgress'] = (phase, done, total) => {
      if (!args.quiet) progress.update(phrases[phase], done, total)
    }
    try {
      const { document } = await convert(args.model, { ...convertOptions(args), observations, signal, onProgress })
      progress.end()
      await write(document)
      await writeDepfile(args, document.files, convertOptions(args))
      await print(document, args, world)
      return exitCodes.done
    } catch (error) {
      progress.end()
      if (error instanceof ConversionRefused) await write(error.document)
      if (error instanceof ConversionRefused && !args.json) await print(error.document, args, world)
      throw error
    }
  },
})

const phrases = {
  calibrate: 'calibrating',
  convert: 'converting',
  write: 'writing',
  verify: 'trying the result',
  compare: 'comparing both models',
  observe: 'calibrating the converted model',
  measure: 'measuring what rounding does',
} as const
