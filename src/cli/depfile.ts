import { sep } from 'node:path'
import type { InputOptions } from '../input-files.ts'

interface DepfileArguments {
  readonly model: string
  readonly depfile?: string | undefined
  /** The config file that had settings, or what `--config` says. */
  readonly config?: unknown
}

/** Writes the rule `outputs: inputs` that make and ninja read, where one is asked for and something was written. */
export async function writeDepfile(
  { model, depfile, config }: DepfileArguments,
  files: readonly { readonly path: string }[],
  options: InputOptions,
): Promise<void> {
  if (depfile === undefined || files.length === 0) return
  const [{ inputFiles }, { placeText }] = await Promise.all([import('../input-files.ts'), import('../emit/index.ts')])
  const { files: inputs } = await inputFiles(model, options)
  if (typeof config === 'string') inputs.push(config)
  placeText(depfile, `${files.map(({ path }) => escaped(path)).join(' ')}: ${inputs.map(escaped).join(' \\\n  ')}\n`)
}

/** A path as both programs read it. */
function escaped(path: string): string {
  return path.replaceAll(sep, '/').replaceAll('$', '$$$$').replace(/[ #]/g, '\\$&')
}
