import type { Argv } from 'yargs'
import yargs from 'yargs'
import type { FlagTable } from '../config/flag.ts'
import { commonFlags } from '../config/flags.ts'
import { findConfig } from '../config/index.ts'
import { exitCodes, usage } from '../errors.ts'
import type { Command, Environment } from './command.ts'
import { nameOf } from './command.ts'
import { cacheCommand } from './commands/cache.ts'
import { calibrateCommand } from './commands/calibrate.ts'
import { checkCommand as checkModelsCommand } from './commands/check.ts'
import { checkTargetCommand } from './commands/check-target.ts'
import { compareCommand } from './commands/compare.ts'
import { convertCommand } from './commands/convert.ts'
import { diffCommand } from './commands/diff.ts'
import { explainCommand } from './commands/explain.ts'
import { inspectCommand } from './commands/inspect.ts'
import { kernelsCommand } from './commands/kernels.ts'
import { passesCommand } from './commands/passes.ts'
import { quantizeCommand } from './commands/quantize.ts'
import { reportCommand } from './commands/report.ts'
import { sensitivityCommand } from './commands/sensitivity.ts'
import { targetsCommand } from './commands/targets.ts'
import { complete, completionFlag } from './complete.ts'
import { noModel, runConfigured } from './configured.ts'
import { checkCommand, checkSwitches, explainUsage } from './usage.ts'

const commands: readonly Command[] = [
  convertCommand,
  calibrateCommand,
  quantizeCommand,
  sensitivityCommand,
  checkModelsCommand,
  checkTargetCommand,
  compareCommand,
  diffCommand,
  cacheCommand,
  explainCommand,
  inspectCommand,
  reportCommand,
  kernelsCommand,
  passesCommand,
  targetsCommand,
]

const allFlags: FlagTable = Object.assign({}, commonFlags, ...commands.map((command) => command.flags))

const exits =
  'Exit codes: 0 done; 1 a check failed (nothing to convert, --require-all, unlike outputs); 2 usage; 3 the model cannot be read or converted; ' +
  '4 calibration data; 5 the runtime failed; 6 the output cannot be written; 70 a fault of ours; 130 interrupted.'

/** Parses the arguments and runs the command they name. Throws a `usage` error for arguments that mean nothing. */
export async function run(argv: readonly string[], environment: Environment): Promise<number> {
  const { world } = environment
  let code: number = exitCodes.done
  if (argv[0] === completionFlag) {
    for (const word of complete(argv.slice(1), commands)) world.stdout.write(`${word}\n`)
    return code
  }
  checkCommand(argv)
  checkSwitches(argv, allFlags)
  const program = declare(argv, environment, (given) => {
    code = given
  })
  if (argv.length === 0 && findConfig('') === undefined) {
    world.stderr.write(`${plainHelp(await program.getHelp())}\n`)
    throw noModel()
  }
  let output = ''
  await program.parseAsync(joinNegative(argv), {}, (_error: unknown, _args: unknown, text: string) => {
    output = text
  })
  if (output !== '') world.stdout.write(`${plainHelp(output)}\n`)
  return code
}

function declare(argv: readonly string[], environment: Environment, done: (code: number) => void): Argv {
  const program = yargs()
    .scriptName('outeffhop-convert')
    .usage('$0 MODEL [-o FILE]\n\nRewrites every attention softmax of an ONNX model to Softmax1.')
    .locale('en')
    .version(environment.version)
    .alias({ version: 'V', help: 'h' })
    .parserConfiguration({ 'greedy-arrays': false })
    .strict()
    .exitProcess(false)
    .showHelpOnFail(false)
    .epilogue(exits)
    .example('$0 model.onnx', 'write model.outeffhop.onnx')
    .example('$0 explain model.onnx', 'say for every softmax what it is')
    .example('$0 model.onnx --dry-run --json', 'what would be done, for a program')
    .completion('completion-script', false)
    .check(checkRepeated)
    .wrap(Math.min(100, environment.world.stdout.columns ?? 100))
    .fail((message: string | null, error: Error | undefined) => {
      throw error ?? explainUsage(message ?? '', argv, Object.keys(allFlags))
    })
  for (const command of commands) {
    program.command(
      [...command.usage],
      command.describe,
      (builder) => withPositionals(builder, command),
      async (args) => done(await runConfigured({ argv, command, given: args, commands }, environment)),
    )
  }
  program.command('completion', 'Print a completion script for your shell', {}, () => {
    program.showCompletionScript()
  })
  return program
}

/** What yargs prints, less the types of flags, and with the flag that is meant to be turned off as it is written. */
function plainHelp(text: string): string {
  return text
    .replace(/\s+\[(?:boolean|string|number|array|required|default|choices: [^\]]*)\](?=\s)/g, '')
    .replace(/--(\w+) {3}( *Do not )/g, '--no-$1$2')
}

function withPositionals(builder: Argv, { usage, flags }: Command): Argv {
  const configured = builder.options(flags).options(commonFlags).group(['help', 'version'], 'General:')
  if (!usage.some((words) => /[<[]model[>\]]/.test(words))) return configured
  return configured.positional('model', { type: 'string', describe: 'The ONNX file' })
}

/** Refuses two values for a flag that has one: yargs makes a list of them. */
function checkRepeated(args: Readonly<Record<string, unknown>>): true {
  const [word] = args._ as readonly unknown[]
  const command = commands.find((candidate) => nameOf(candidate) === word) ?? convertCommand
  const flags: FlagTable = { ...commonFlags, ...command.flags }
  for (const [name, flag] of Object.entries(flags)) {
    if (flag.array !== true && Array.isArray(args[name])) throw usage(`--${name} is given more than once`)
  }
  return true
}

/** `--sink -inf` as one word: a value that begins with a dash and a letter would be read as flags. */
function joinNegative(argv: readonly string[]): string[] {
  const at = argv.indexOf('--sink')
  const value = argv[at + 1]
  if (at < 0 || !/^-inf/i.test(value ?? '')) return [...argv]
  return [...argv.slice(0, at), `--sink=-Infinity`, ...argv.slice(at + 2)]
}
