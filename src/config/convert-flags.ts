import { usage } from '../errors.ts'
import type { ConvertOptions } from '../options.ts'
import { recipeNames } from '../quantize/candidates.ts'
import { stages } from '../rewrite/pass.ts'
import { dataFlags, dataRequest } from './data-flags.ts'
import type { FlagTable, ValuesOf } from './flag.ts'
import { grouped } from './flag.ts'
import {
  depfileFlag,
  hashFlag,
  outputFlags,
  precisionFlags,
  precisionOf,
  reportFlag,
  siteFlags,
  siteOptions,
  targetFlags,
} from './flags.ts'
import { quantizationFlags, quantizationOptions, refuseIdle } from './quantization-flags.ts'

/** The settings of `convert`. */
export const convertFlags = {
  ...outputFlags('NAME.outeffhop.onnx'),
  ...hashFlag,
  ...reportFlag,
  ...depfileFlag,
  ...grouped('Conversion:', {
    sinks: {
      type: 'string',
      alias: 'sink',
      requiresArg: true,
      describe: 'Logit added to denominators: calibrated (default with data), zero (default without) or a number',
    },
    calibration: {
      type: 'string',
      requiresArg: true,
      path: true,
      describe: 'Calibrate the sinks by TABLE, which calibrate wrote',
    },
    'max-change': {
      type: 'string',
      requiresArg: true,
      describe: 'Most that a row of attention may change under calibrated sinks; default 1%',
    },
    'sink-quantile': {
      type: 'string',
      requiresArg: true,
      describe: 'Share of the rows that may change more; default 0.1%',
    },
    'accept-drift': { type: 'boolean', describe: 'Convert also where heads lose more than 3 % of their output' },
    'fold-scale': {
      type: 'boolean',
      describe: 'With --sinks zero or a number: give heads the mean they had, 1/E[g] in the weights of a projection',
    },
    optimize: {
      type: 'boolean',
      describe: 'Fold scalar arithmetic around convolutions into them: the same function in fewer steps',
    },
    opset: {
      type: 'number',
      requiresArg: true,
      describe: 'Raise the model to this opset, 13 to 21, where it is older',
    },
  }),
  ...grouped('Quantization:', {
    quantize: {
      type: 'string',
      choices: ['auto', ...recipeNames],
      requiresArg: true,
      describe:
        'Quantize the result too: int8, int8-dynamic, weights-int8, weights-int4, fp8 (tensorrt); auto: the best on the data',
    },
  }),
  ...quantizationFlags,
  ...dataFlags,
  ...siteFlags,
  ...targetFlags,
  ...precisionFlags,
  ...grouped('Checks:', {
    'dry-run': { type: 'boolean', describe: 'Find and rewrite, write nothing' },
    'require-all': { type: 'boolean', describe: 'Exit 1 if any attention, or a site to review, is left' },
    'allow-none': { type: 'boolean', describe: 'Exit 0 if there is nothing to convert' },
    verify: { type: 'boolean', onByDefault: true, describe: 'Do not run the result in ONNX Runtime' },
    'stop-after': {
      type: 'string',
      choices: stages.filter((stage) => stage !== 'lower'),
      requiresArg: true,
      describe: 'Write the model as text after a stage: recognize, hopfield, adapt or quantize',
    },
    dump: {
      type: 'string',
      requiresArg: true,
      path: true,
      describe: 'Write the model as text to DIR after every pass',
    },
  }),
} as const satisfies FlagTable

/** The options of the library that the settings stand for. Throws `usage` where they contradict each other. */
export function convertOptions(args: Partial<ValuesOf<typeof convertFlags>>): ConvertOptions {
  const { output, target, provider, calibration, form, overwrite, hash, verify, dump, optimize, opset } = args
  const data = dataRequest(args)
  if (args.quantize === undefined) refuseIdle(args)
  return {
    ...siteOptions(args),
    ...{ output, target, provider, calibration, form, overwrite, hash, verify, dump, optimize, opset },
    sink: sinkOf(args.sinks),
    data: data?.spec,
    dataOptions: data?.options,
    maxChange: shareOf('max-change', args['max-change']),
    sinkQuantile: shareOf('sink-quantile', args['sink-quantile']),
    quantize: args.quantize === undefined ? undefined : { ...quantizationOptions(args), recipe: args.quantize },
    acceptDrift: args['accept-drift'],
    foldScale: args['fold-scale'],
    targetVersion: args['target-version'],
    externalData: args['external-data'],
    dryRun: args['dry-run'],
    requireAll: args['require-all'],
    allowNone: args['allow-none'],
    stopAfter: args['stop-after'],
    precision: precisionOf(args),
  }
}

function sinkOf(text: string | undefined): ConvertOptions['sink'] {
  if (text === undefined || text === 'calibrated' || text === 'zero') return text
  const number = text.trim() === '' ? Number.NaN : Number(text)
  if (Number.isNaN(number)) throw usage(`--sinks "${text}" is neither calibrated nor zero nor a number`)
  return number
}

/** `1%` or `0.01`. */
function shareOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, digits, percent] = /^(\d+(?:\.\d+)?(?:e-?\d+)?)\s*(%?)$/i.exec(text.trim()) ?? []
  if (digits === undefined) throw usage(`--${flag} "${text}" is not a share`, 'Write 1% or 0.01.')
  return Number(digits) / (percent === '%' ? 100 : 1)
}
