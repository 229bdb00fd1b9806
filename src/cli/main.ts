import { versionOf } from '../cache/package.ts'
import { exitCodes } from '../errors.ts'
import { printFailure } from './failure.ts'
import type { World } from './world.ts'
import { processWorld } from './world.ts'

/** Runs the command line program and gives its exit code. Everything it needs is loaded when a command needs it. */
export async function main(argv: readonly string[], world: World = processWorld()): Promise<number> {
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
    world.stdout.write(`${versionOf()}\n`)
    return exitCodes.done
  }
  const interruption = new AbortController()
  const stopListening = world.onInterrupt(() => interruption.abort())
  try {
    const { run } = await import('./program.ts')
    return await run(argv, { world, signal: interruption.signal, version: versionOf() })
  } catch (error) {
    return printFailure(error, argv, world)
  } finally {
    stopListening()
  }
}
