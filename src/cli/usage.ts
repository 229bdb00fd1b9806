import { usage } from '../errors.ts'
import type { ConvertError } from '../errors.ts'
import { closest } from '../names.ts'

/** A usage error from what yargs says, with the flag that was probably meant. */
export function explainUsage(message: string, flags: readonly string[]): ConvertError {
  const help = 'outeffhop-convert --help lists commands and flags.'
  const unknown = /^Unknown arguments?: (.*)$/.exec(message)?.[1]?.split(', ') ?? []
  // yargs names an unknown flag twice, as it was written and in camel case.
  const [first] = unknown
  if (first !== undefined) {
    const similar = closest(first, flags)
    const hint = similar === undefined ? help : `Did you mean --${similar}?`
    return usage(`there is no flag or argument "${first}"`, hint)
  }
  if (message.startsWith('Not enough non-option arguments')) return usage('the model is missing', help)
  return usage(message.trim().split('\n').join(' '), help)
}
