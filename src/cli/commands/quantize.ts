import { exitCodes } from '../../errors.ts'
import type { RangeMethod } from '../../quantize/index.ts'
import type { QuantizeOptions } from '../../quantize.ts'
import type { QuantizationDocument } from '../../report/index.ts'
import type { Arguments, FlagTable } from '../command.ts'
import { defineCommand } from '../command.ts'
import { dataFlags, dataRequest } from '../data-flags.ts'
import { grouped, hashFlag } from '../flags.ts'
import { progressOn } from '../progress.ts'
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
        'auto: the most accurate on part of the data (default with --data); int8, int8-dynamic, weights-int8, weights-int4, ' +
        'a variant of int8 that auto tries, or a quantized model, whose choices are made again',
    },
    'max-drop': {
      type: 'number',
      requiresArg: true,
      describe: 'Keep as few products in float as bring 1 - cosine on held-out data down to this',
    },
    range: {
      type: 'string',
      choices: ['min-max', 'moving-average', 'percentile', 'entropy', 'mse', 'huber'],
      requiresArg: true,
      describe: 'How extremes become ranges; default min-max. It holds for values whose outliers are not moved',
    },
    alpha: {
      type: 'number',
      requiresArg: true,
      describe: 'How much of an outlier moves into the weights; default 0.75',
    },
    smooth: { type: 'boolean', describe: 'Do not move outliers into the weights' },
    'reduce-range': { type: 'boolean', describe: 'Weights in 7 bits: for x64 processors without VNNI' },
    prefer: {
      type: 'string',
      choices: ['accuracy', 'size'],
      requiresArg: true,
      describe: 'size: quantize large convolutions too; default accuracy',
    },
    optimize: { type: 'boolean', describe: 'Do not fold scalar arithmetic around convolutions into them' },
    'keep-float': {
      type: 'string',
      array: true,
      requiresArg: true,
      describe: 'Leave products in float whose node name matches GLOB',
    },
  }),
  ...grouped('Checks:', {
    'min-cosine': {
      type: 'number',
      requiresArg: true,
      describe: 'Exit 1 if outputs resemble those of MODEL less; default 0.95',
    },
  }),
  ...dataFlags,
} as const satisfies FlagTable

export const quantizeCommand = defineCommand({
  usage: ['quantize <model>'],
  describe: 'Make an INT8 model, its attention left as it is',
  flags,
  async run(args, { world, signal }) {
    const { quantize, QuantizationRefused } = await import('../../quantize.ts')
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
  const { output, overwrite, hash, calibration, recipe, range, alpha, smooth, optimize } = args
  return {
    ...request?.options,
    data: request?.spec,
    ...{ output, overwrite, hash, calibration, recipe, alpha, smooth, optimize },
    range: range === 'percentile' ? { percentile: 99.999 } : (range as RangeMethod | undefined),
    convolutions: args.prefer === 'size',
    reduceRange: args['reduce-range'],
    keepFloat: args['keep-float'],
    maxDrop: args['max-drop'],
    minCosine: args['min-cosine'],
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
