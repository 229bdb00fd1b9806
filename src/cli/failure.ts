import { ConvertError, exitCodes } from '../errors.ts'
import type { Paint } from '../report/paint.ts'
import { commandNames } from './command.ts'
import { paintFor } from './terminal.ts'
import { explainUsage } from './usage.ts'
import type { World } from './world.ts'

/**
 * Says what went wrong, where, and what to do, on stderr; gives the exit code. With `--json` the same stands in the `error`
 * of the document on stdout, beside the report when a check refused the conversion.
 */
export function printFailure(error: unknown, argv: readonly string[], world: World): number {
  const wanted = argv.includes('--no-color') ? false : argv.includes('--color') ? true : undefined
  const paint = paintFor(world.stderr, world.env, wanted)
  if (error instanceof Error && error.name === 'YError')
    return printFailure(explainUsage(error.message, argv, []), argv, world)
  if (!(error instanceof ConvertError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    world.stderr.write(`${paint.bad('error:')} this is a fault of outeffhop-convert, please report it:\n${text}\n`)
    return exitCodes.bug
  }
  if (argv.includes('--json')) world.stdout.write(`${JSON.stringify(failureDocument(error, argv), null, 2)}\n`)
  world.stderr.write(`${describeFailure(error, paint)}\n`)
  if (argv.includes('--debug')) world.stderr.write(`${error.stack}\n`)
  return error.exitCode
}

function failureDocument(error: ConvertError, argv: readonly string[]): object {
  const { code, message, at, hint = null } = error
  const command = commandNames.find((name) => name === argv[0]) ?? 'convert'
  const report = 'document' in error ? (error.document as object) : { schema: 1, command }
  return { ...report, error: { code, message, at, hint, exitCode: error.exitCode } }
}

function describeFailure(error: ConvertError, paint: Paint): string {
  const lines = [`${paint.bad('error:')} ${error.message}`]
  const { path, offset, node, value, graph } = error.at
  const place = [
    !offset || error.message.includes(`byte ${offset}`) ? undefined : `byte ${offset}`,
    unlessNamed('node', node, error.message),
    unlessNamed('value', value, error.message),
    unlessNamed('graph', graph, error.message),
  ].filter((part) => part !== undefined)
  // The runtime names files that are gone again.
  const file = error.kind === 'model' && path !== undefined && !error.message.includes(path) ? [`in "${path}"`] : []
  if (place.length > 0) lines.push(`  at ${[...place, ...file].join(', ')}`)
  else if (file.length > 0) lines.push(`  ${file}`)
  if (error.hint !== undefined) lines.push(`  ${paint.faint(error.hint)}`)
  return lines.join('\n')
}

/** A place, unless the message names it already. */
function unlessNamed(what: string, name: string | undefined, message: string): string | undefined {
  return name === undefined || name === '' || message.includes(name) ? undefined : `${what} "${name}"`
}
