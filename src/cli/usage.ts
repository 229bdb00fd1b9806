import { existsSync } from 'node:fs'
import type { ConvertError } from '../errors.ts'
import { usage } from '../errors.ts'
import { closest } from '../names.ts'
import { commandNames } from './command.ts'

const help = 'outeffhop-convert --help lists commands and flags.'

/** A usage error from what yargs says, with the flag that was probably meant. */
export function explainUsage(message: string, argv: readonly string[], flags: readonly string[]): ConvertError {
  // yargs names an unknown flag twice, as it was written and in camel case.
  const [first] = /^Unknown arguments?: (.*)$/.exec(message)?.[1]?.split(', ') ?? []
  if (first !== undefined) {
    const isFlag = argv.some((word) => word.startsWith(`-${first}`) || word.startsWith(`--${first}`))
    if (!isFlag) return usage(`"${first}" is one argument too many`, 'One model at a time.')
    const similar = closest(first, flags)
    return usage(`there is no flag --${first}`, similar === undefined ? help : `Did you mean --${similar}?`)
  }
  if (message.startsWith('Not enough non-option arguments')) return usage('the model is missing', help)
  return usage(message.trim().replace(/\s*\n\s*/g, ' '), help)
}

/** A misspelt command would be taken for the name of a model: throws when the first word is like a command and no file. */
export function checkCommand(argv: readonly string[]): void {
  const [word = '-'] = argv
  if (word.startsWith('-') || commandNames.some((name) => name === word) || /[./\\]/.test(word) || existsSync(word))
    return
  const similar = closest(word, commandNames)
  if (similar !== undefined) throw usage(`there is no command or file "${word}"`, `Did you mean "${similar}"?`)
}
