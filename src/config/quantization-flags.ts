import { usage } from '../errors.ts'
import type { QuantizationOptions } from '../quantization-options.ts'
import type { RangeMethod } from '../quantize/index.ts'
import { protocols } from '../quantize/recipes.ts'
import type { ValuesOf } from './flag.ts'
import { grouped } from './flag.ts'

/** How to quantize: the same flags for every command that does. */
export const quantizationFlags = {
  ...grouped('Quantization:', {
    protocol: {
      type: 'string',
      choices: protocols,
      requiresArg: true,
      describe: 'Quantize as published in place of what runs well: outeffhop is the W8A8 simulation of its paper',
    },
    range: {
      type: 'string',
      choices: ['min-max', 'moving-average', 'percentile', 'entropy', 'mse', 'huber'],
      requiresArg: true,
      describe: 'How extremes become ranges; default min-max. Values whose outliers are moved need data for the others',
    },
    alpha: {
      type: 'number',
      requiresArg: true,
      describe: 'How much of an outlier moves into the weights; default 0.75',
    },
    smooth: { type: 'boolean', onByDefault: true, describe: 'Do not move outliers into the weights' },
    symmetrize: { type: 'boolean', onByDefault: true, describe: 'Do not centre the channels of normalised values' },
    'pre-dequantize': {
      type: 'boolean',
      describe: 'Move all of the outliers of normalised values into the weights, so that a step is 1 (OutlierTune)',
    },
    'bias-correction': {
      type: 'boolean',
      onByDefault: true,
      describe: 'Do not let biases take up the mean error of rounding',
    },
    'softmax-correction': {
      type: 'boolean',
      describe: 'With --protocol: add to probabilities what rounding takes from them in the mean',
    },
    'reduce-range': { type: 'boolean', describe: 'Weights in 7 bits: for x64 processors without VNNI' },
    prefer: {
      type: 'string',
      choices: ['accuracy', 'size'],
      requiresArg: true,
      describe: 'size: quantize large convolutions too (tensorrt: all that fill tensor cores); default accuracy',
    },
    'max-drop': {
      type: 'number',
      requiresArg: true,
      describe: 'Keep as few products in float as bring 1 - cosine on held-out data down to this',
    },
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
} as const

type QuantizationArguments = Partial<ValuesOf<typeof quantizationFlags>>

/** What the flags above ask for. */
export function quantizationOptions(flags: QuantizationArguments): QuantizationOptions {
  const { range, alpha, smooth, protocol, symmetrize } = flags
  return {
    ...{ alpha, smooth, protocol, symmetrize },
    preDequantize: flags['pre-dequantize'],
    biasCorrection: flags['bias-correction'],
    softmaxCorrection: flags['softmax-correction'],
    range: range === 'percentile' ? { percentile: 99.999 } : (range as RangeMethod | undefined),
    convolutions: flags.prefer === undefined ? undefined : flags.prefer === 'size',
    reduceRange: flags['reduce-range'],
    keepFloat: flags['keep-float'],
    minCosine: flags['min-cosine'],
    maxDrop: flags['max-drop'],
  }
}

/** Throws `usage` where a flag says how to quantize and nothing is quantized. */
export function refuseIdle(flags: QuantizationArguments): void {
  const idle = Object.keys(quantizationFlags).find((name) => flags[name as keyof QuantizationArguments] !== undefined)
  if (idle !== undefined) throw usage(`--${idle} is about quantization`, 'Ask for one with --quantize RECIPE.')
}
