import type { QuantizeOptions } from '../quantization-options.ts'
import { dataFlags, dataRequest } from './data-flags.ts'
import type { FlagTable, ValuesOf } from './flag.ts'
import { grouped } from './flag.ts'
import { depfileFlag, hashFlag, outputFlags, precisionFlags, precisionOf, reportFlag, runFlags } from './flags.ts'
import { quantizationFlags, quantizationOptions } from './quantization-flags.ts'

/** The settings of `quantize`. */
export const quantizeFlags = {
  ...outputFlags('NAME.int8.onnx, or NAME.fp8.onnx'),
  ...hashFlag,
  ...reportFlag,
  ...depfileFlag,
  ...grouped('Quantization:', {
    calibration: { type: 'string', requiresArg: true, path: true, describe: 'Use the calibration in TABLE' },
    recipe: {
      type: 'string',
      requiresArg: true,
      path: 'or-name',
      describe:
        'What becomes an integer: int8, int8-dynamic, weights-int8, weights-int4, fp8 (tensorrt); auto (default with data): the first ' +
        'or the most accurate variant of int8 that does on part of it; or a quantized model, whose choices are made again',
    },
    optimize: {
      type: 'boolean',
      onByDefault: true,
      describe: 'Do not fold scalar arithmetic around convolutions into them',
    },
  }),
  ...quantizationFlags,
  ...dataFlags,
  ...runFlags,
  ...precisionFlags,
} as const satisfies FlagTable

/** The options of the library that the settings stand for. */
export function quantizeOptions(args: Partial<ValuesOf<typeof quantizeFlags>>, signal?: AbortSignal): QuantizeOptions {
  const request = dataRequest(args, signal)
  const { output, overwrite, hash, calibration, recipe, optimize, target, provider } = args
  return {
    ...request?.options,
    data: request?.spec,
    ...quantizationOptions(args),
    ...{ output, overwrite, hash, calibration, recipe, optimize, target, provider },
    targetVersion: args['target-version'],
    precision: precisionOf(args),
    externalData: args['external-data'],
  }
}
