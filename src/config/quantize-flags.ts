import type { QuantizeOptions } from '../quantization-options.ts'
import { dataFlags, dataRequest } from './data-flags.ts'
import type { FlagTable, ValuesOf } from './flag.ts'
import { grouped } from './flag.ts'
import { depfileFlag, hashFlag, reportFlag } from './flags.ts'
import { quantizationFlags, quantizationOptions } from './quantization-flags.ts'

/** The settings of `quantize`. */
export const quantizeFlags = {
  ...grouped('Output:', {
    output: {
      type: 'string',
      alias: 'o',
      requiresArg: true,
      path: true,
      describe: 'File to write; default NAME.int8.onnx',
    },
    overwrite: { type: 'boolean', describe: 'Replace an existing output' },
    'external-data': {
      type: 'string',
      choices: ['auto', 'always', 'never', 'link'],
      requiresArg: true,
      describe: 'Weights in a file of their own: auto (default), always, never or link',
    },
  }),
  ...hashFlag,
  ...reportFlag,
  ...depfileFlag,
  ...grouped('Quantization:', {
    calibration: { type: 'string', requiresArg: true, path: true, describe: 'Use the calibration in TABLE' },
    recipe: {
      type: 'string',
      requiresArg: true,
      describe:
        'What becomes an integer: int8 (default), int8-dynamic, weights-int8, weights-int4; auto: the most accurate ' +
        'variant of int8 on part of the data; or a quantized model, whose choices are made again',
    },
    'max-drop': {
      type: 'number',
      requiresArg: true,
      describe: 'Keep as few products in float as bring 1 - cosine on held-out data down to this',
    },
    optimize: {
      type: 'boolean',
      onByDefault: true,
      describe: 'Do not fold scalar arithmetic around convolutions into them',
    },
  }),
  ...quantizationFlags,
  ...dataFlags,
} as const satisfies FlagTable

/** The options of the library that the settings stand for. */
export function quantizeOptions(args: Partial<ValuesOf<typeof quantizeFlags>>, signal?: AbortSignal): QuantizeOptions {
  const request = dataRequest(args, signal)
  const { output, overwrite, hash, calibration, recipe, optimize } = args
  return {
    ...request?.options,
    data: request?.spec,
    ...quantizationOptions(args),
    ...{ output, overwrite, hash, calibration, recipe, optimize, maxDrop: args['max-drop'] },
    externalData: args['external-data'],
  }
}
