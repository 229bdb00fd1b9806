import type { convertFlags } from './convert-flags.ts'
import type { SettingsOf } from './flag.ts'
import type { quantizeFlags } from './quantize-flags.ts'

/** Settings of one model, or of every model that has no entry of its own. */
interface Common {
  /** The ONNX file. Without it the settings are for every model of the command line. */
  readonly model?: string | undefined
}

/** Settings of `convert`. */
export interface ConvertEntry extends Common, SettingsOf<typeof convertFlags> {
  readonly command?: 'convert' | undefined
}

/** Settings of `quantize`. */
export interface QuantizeEntry extends Common, SettingsOf<typeof quantizeFlags> {
  readonly command: 'quantize'
}

export type ConfigEntry = ConvertEntry | QuantizeEntry

/** What a config file holds: one entry, several, or a function that gives them. */
export type Config =
  | ConfigEntry
  | readonly ConfigEntry[]
  | (() => ConfigEntry | readonly ConfigEntry[] | Promise<Config>)

/**
 * Gives back what it is given; exists for the types:
 *
 * ```js
 * // outeffhop.config.mjs
 * import { defineConfig } from 'outeffhop-convert'
 * export default defineConfig({ model: 'encoder.onnx', output: 'dist/encoder.onnx', overwrite: true })
 * ```
 */
export function defineConfig<C extends Config>(config: C): C {
  return config
}
