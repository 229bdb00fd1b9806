import { convertFlags } from './convert-flags.ts'
import type { FlagTable } from './flag.ts'
import { quantizeFlags } from './quantize-flags.ts'

/** The commands a config file can hold settings for. */
export const configurable: Readonly<Record<'convert' | 'quantize', FlagTable>> = {
  convert: convertFlags,
  quantize: quantizeFlags,
}

export type ConfigurableCommand = keyof typeof configurable
