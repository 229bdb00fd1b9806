import { usage } from '../errors.ts'
import type { QuantizationOptions } from '../quantization-options.ts'
import type { RangeMethod } from '../quantize/index.ts'
import type { ValuesOf } from './flag.ts'
import { grouped } from './flag.ts'

/** How to quantize: the same flags for every command that does. */
export const quantizationFlags = {
  ...grouped('Quantization:', {
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
    smooth: { type: 'boolean', onByDefault: true, describe: 'Do not move outliers into the weights' },
    'reduce-range': { type: 'boolean', describe: 'Weights in 7 bits: for x64 processors without VNNI' },
    prefer: {
      type: 'string',
      choices: ['accuracy', 'size'],
      requiresArg: true,
      describe: 'size: quantize large convolutions too; default accuracy',
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
  const { range, alpha, smooth } = flags
  return {
    ...{ alpha, smooth },
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
