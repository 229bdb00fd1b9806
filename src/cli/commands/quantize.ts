import { exitCodes } from '../../errors.ts'
import type { QuantizeOptions } from '../../quantize.ts'
import type { QuantizationDocument } from '../../report/index.ts'
import type { Arguments, FlagTable } from '../command.ts'
import { defineCommand } from '../command.ts'
import { dataFlags, dataRequest } from '../data-flags.ts'
import { grouped, hashFlag } from '../flags.ts'
import { progressOn } from '../progress.ts'
import { quantizationFlags, quantizationOptions } from '../quantization-flags.ts'
import { printJson } from '../results.ts'
import { paintFor } from '../terminal.ts'
import type { World } from '../world.ts'

const flags = {
  ...grouped('Output:', {
    output: { type: 'string', alias: 'o', requiresArg: true, describe: 'File to write; default NAME.int8.onnx' },
    overwrite: { type: 'boolean', describe: 'Replace an existing output' },
    'external-data': {
      type: 'string',
      choices: ['auto', 'always', 'never', 'link'],
      requiresArg: true,
      describe: 'Weights in a file of their own: auto (default), always, never or link',
    },
  }),
  ...hashFlag,
  ...grouped('Quantization:', {
    calibration: { type: 'string', requiresArg: true, describe: 'Use the calibration in TABLE' },
    recipe: {
      type: 'string',
      requiresArg: true,
      describe:
        'What becomes an integer: int8, int8-dynamic, weights-int8, weights-int4; auto (default with data): the first ' +
        'or the most accurate variant of int8 that does on part of it; or a quantized model, whose choices are made again',
    },
    optimize: { type: 'boolean', describe: 'Do not fold scalar arithmetic around convolutions into them' },
  }),
  ...quantizationFlags,
  ...dataFlags,
} as const satisfies FlagTable

export const quantizeCommand = defineCommand({
  usage: ['quantize <model>'],
  describe: 'Make an INT8 model, its attention left as it is',
  flags,
  async run(args, { world, signal }) {
    const [{ quantize }, { QuantizationRefused }] = await Promise.all([
      import('../../quantize.ts'),
      import('../../refused.ts'),
    ])
    const progress = progressOn(world.stderr, world.now)
    const onProgress: QuantizeOptions['onProgress'] = (phase, done, total) => {
      if (!args.quiet) progress.update(phase, done, total)
    }
    try {
      const document = await quantize(args.model, { ...optionsOf(args, signal), signal, onProgress })
      progress.end()
      await print(document, args, world)
      return exitCodes.done
    } catch (error) {
      progress.end()
      if (error instanceof QuantizationRefused && !args.json) await print(error.document, args, world)
      throw error
    }
  },
})

function optionsOf(args: Arguments<typeof flags>, signal: AbortSignal): QuantizeOptions {
  const request = dataRequest(args, signal)
  const { output, overwrite, hash, calibration, recipe, optimize } = args
  return {
    ...request?.options,
    data: request?.spec,
    ...quantizationOptions(args),
    ...{ output, overwrite, hash, calibration, recipe, optimize },
    externalData: args['external-data'],
  }
}

async function print(document: QuantizationDocument, args: Arguments<typeof flags>, world: World): Promise<void> {
  if (args.json) return printJson(document, world)
  if (args.quiet) return
  const { summarizeQuantization } = await import('../../report/index.ts')
  world.stdout.write(summarizeQuantization(document, paintFor(world.stdout, world.env, args.color)))
  const paint = paintFor(world.stderr, world.env, args.color)
  for (const { message } of document.warnings) world.stderr.write(`${paint.warn('warning:')} ${message}\n`)
}
