import { quantizeFlags, quantizeOptions } from '../../config/quantize-flags.ts'
import { exitCodes } from '../../errors.ts'
import type { QuantizeOptions } from '../../quantize.ts'
import type { QuantizationDocument } from '../../report/index.ts'
import type { Arguments } from '../command.ts'
import { defineCommand } from '../command.ts'
import { writeDepfile } from '../depfile.ts'
import { progressOn } from '../progress.ts'
import { reporting } from '../reporting.ts'
import { printJson } from '../results.ts'
import { paintFor } from '../terminal.ts'
import type { World } from '../world.ts'

export const quantizeCommand = defineCommand({
  usage: ['quantize [model]'],
  describe: 'Make an INT8 model, its attention left as it is',
  flags: quantizeFlags,
  async run(args, { world, signal }) {
    const [{ quantize }, { QuantizationRefused }] = await Promise.all([
      import('../../quantize.ts'),
      import('../../refused.ts'),
    ])
    const { observations, write } = await reporting(args)
    const progress = progressOn(world.stderr, world.now)
    const onProgress: QuantizeOptions['onProgress'] = (phase, done, total) => {
      if (!args.quiet) progress.update(phase, done, total)
    }
    try {
      const document = await quantize(args.model, {
        ...quantizeOptions(args, signal),
        observations,
        signal,
        onProgress,
      })
      progress.end()
      await write(document)
      const options = quantizeOptions(args)
      await writeDepfile(args, document.files, { ...options, dataOptions: options })
      await print(document, args, world)
      return exitCodes.done
    } catch (error) {
      progress.end()
      if (error instanceof QuantizationRefused) await write(error.document)
      if (error instanceof QuantizationRefused && !args.json) await print(error.document, args, world)
      throw error
    }
  },
})

async function print(
  document: QuantizationDocument,
  args: Arguments<typeof quantizeFlags>,
  world: World,
): Promise<void> {
  if (args.json) return printJson(document, world)
  if (args.quiet) return
  const { summarizeQuantization } = await import('../../report/index.ts')
  world.stdout.write(summarizeQuantization(document, paintFor(world.stdout, world.env, args.color)))
  const paint = paintFor(world.stderr, world.env, args.color)
  for (const { message } of document.warnings) world.stderr.write(`${paint.warn('warning:')} ${message}\n`)
}
