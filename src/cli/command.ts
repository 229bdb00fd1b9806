import type { FlagTable, ValuesOf } from '../config/flag.ts'
import type { World } from './world.ts'

export const commandNames = [
  'convert',
  'calibrate',
  'quantize',
  'sensitivity',
  'check',
  'check-target',
  'compare',
  'diff',
  'cache',
  'explain',
  'inspect',
  'report',
  'kernels',
  'passes',
  'targets',
  'completion',
] as const

export interface Environment {
  readonly world: World
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
  readonly version: string
}

/** What a command is given: its flags, the flags of every command, and its positional argument. */
export type Arguments<F extends FlagTable> = ValuesOf<F> & {
  readonly model: string
  readonly json: boolean | undefined
  readonly quiet: boolean | undefined
  readonly color: boolean | undefined
}

export interface Command<F extends FlagTable = FlagTable> {
  /** As yargs wants it: `explain <model>`; `$0` is the default command. */
  readonly usage: readonly string[]
  readonly describe: string
  readonly flags: F
  /** Gives the exit code. */
  run(flags: Arguments<F>, environment: Environment): Promise<number>
}

/** Declares a command; exists for the types. */
export function defineCommand<const F extends FlagTable>(command: Command<F>): Command {
  return command as unknown as Command
}

/** The word that asks for a command; `convert` for the default one. */
export function nameOf({ usage }: Command): string {
  return usage.map((words) => words.split(' ')[0] as string).find((word) => word !== '$0') as string
}
