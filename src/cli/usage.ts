import { existsSync } from 'node:fs'
import type { FlagTable } from '../config/flag.ts'
import type { ConvertError } from '../errors.ts'
import { usage } from '../errors.ts'
import { closest } from '../names.ts'
import { commandNames } from './command.ts'

const help = 'outeffhop-convert --help lists commands and flags.'

/** A usage error from what yargs says, in our words: with the flag or value that was probably meant. */
export function explainUsage(message: string, argv: readonly string[], flags: readonly string[]): ConvertError {
  // yargs names an unknown flag twice, as it was written and in camel case.
  const [unknown] = /^Unknown arguments?: (.*)$/.exec(message)?.[1]?.split(', ') ?? []
  if (unknown !== undefined) return explainUnknown(unknown, argv, flags)
  const [, flag, given, choices] = /Argument: (\S+), Given: "?(.*?)"?, Choices: (.*)$/m.exec(message) ?? []
  if (flag !== undefined) return explainChoice(flag, given ?? '', choices?.match(/[^", ]+/g) ?? [])
  const [, bare] = /^Not enough arguments following: (.*)$/.exec(message) ?? []
  if (bare !== undefined) return usage(`${dashed(bare)} needs a value behind it`, help)
  if (message.startsWith('Not enough non-option arguments'))
    return usage('no model is named', 'Name an ONNX file behind the command.')
  return usage(message.trim().replace(/\s*\n\s*/g, ' '), help)
}

function explainUnknown(word: string, argv: readonly string[], flags: readonly string[]): ConvertError {
  const isFlag = argv.some((given) => given.startsWith(`-${word}`) || given.startsWith(`--${word}`))
  if (!isFlag) return usage(`"${word}" is one argument too many`, 'One model at a time.')
  const similar = closest(word, flags)
  return usage(`there is no flag ${dashed(word)}`, similar === undefined ? help : `Did you mean --${similar}?`)
}

/** A flag as it is written. */
export function dashed(flag: string): string {
  return flag.length === 1 ? `-${flag}` : `--${flag}`
}

/** Refuses `--dry-run=yes`, which yargs takes for false. */
export function checkSwitches(argv: readonly string[], flags: FlagTable): void {
  for (const word of argv) {
    const [, name = '', value] = /^--(?:no-)?([^=]+)=(.*)$/s.exec(word) ?? []
    if (flags[name]?.type !== 'boolean' || value === 'true' || value === 'false') continue
    throw usage(`--${name} takes no value, and was given "${value}"`, `Write --${name}, or leave it out.`)
  }
}

function explainChoice(flag: string, given: string, choices: readonly string[]): ConvertError {
  const similar = closest(given, choices)
  const meant = similar === undefined ? help : `Did you mean --${flag} ${similar}?`
  const listed = choices.length > 1 ? `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}` : choices.join()
  return usage(`--${flag} is ${listed}, not "${given}"`, meant)
}

/**
 * A misspelt command would be taken for the name of a model: throws when the first word is no file and like a command, or
 * has a second word behind it. "-" would be taken for a file without a name.
 */
export function checkCommand(argv: readonly string[]): void {
  if (argv.includes('-')) throw usage('a model cannot be read from a pipe', 'Name an ONNX file.')
  const [word = '-', next = '-'] = argv
  if (word.startsWith('-') || commandNames.some((name) => name === word) || /[./\\]/.test(word) || existsSync(word))
    return
  const similar = closest(word, commandNames)
  if (similar !== undefined) throw usage(`there is no command or file "${word}"`, `Did you mean "${similar}"?`)
  if (!next.startsWith('-')) throw usage(`there is no command "${word}"`, `There are: ${commandNames.join(', ')}.`)
}
