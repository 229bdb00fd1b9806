import type { Flag, FlagTable } from '../config/flag.ts'
import { commonFlags } from '../config/flags.ts'
import type { Command } from './command.ts'
import { commandNames } from './command.ts'
import { dashed } from './usage.ts'

/** The flag with which the completion script of a shell asks for words; yargs writes the script. */
export const completionFlag = '--get-yargs-completions'

/**
 * What may stand where the last of `words` is being typed, which begin with the name of the program: a value of the flag
 * before, a flag, or a command. Nothing where a file is meant: the shell knows those.
 */
export function complete(words: readonly string[], commands: readonly Command[]): string[] {
  const typed = words.at(-1) ?? ''
  const before = words.slice(1, -1)
  const flags = flagsOf(before[0], commands)
  const values = valuesOf(before.at(-1), flags)
  const candidates = values ?? (typed.startsWith('-') ? Object.entries(flags).flatMap(spelled) : commandWords(before))
  return candidates.filter((word) => word.startsWith(typed))
}

/** The flags of a command; of the default one where the first word names none. */
function flagsOf(word: string | undefined, commands: readonly Command[]): FlagTable {
  const named = (command: Command, name: string) => command.usage.some((usage) => usage.split(' ')[0] === name)
  const known = commandNames.some((name) => name === word)
  const command = commands.find((candidate) => named(candidate, known ? (word as string) : '$0'))
  return { ...command?.flags, ...commonFlags, help: {}, version: {} }
}

/** A list where the word before is a flag that takes a value: empty where any value will do. */
function valuesOf(word: string | undefined, flags: FlagTable): readonly string[] | undefined {
  const isIt = ([name, { alias = [] }]: [string, Flag]) => [name, alias].flat().some((n) => dashed(n) === word)
  const flag = Object.entries(flags).find(isIt)?.[1]
  if (flag?.requiresArg !== true) return undefined
  return (flag.choices ?? []).map(String)
}

/** A flag as it is written, by all its longer names: one that is on by itself with `no-`. */
function spelled([name, { hidden, onByDefault, alias = [] }]: [name: string, Flag]): string[] {
  const names = onByDefault ? [`no-${name}`] : [name, alias].flat().filter((n) => n.length > 1)
  return hidden === true ? [] : names.map(dashed)
}

function commandWords(before: readonly string[]): readonly string[] {
  return before.length === 0 ? commandNames : []
}
