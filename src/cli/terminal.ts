import type { Paint } from '../report/paint.ts'
import { coloured, plain } from '../report/paint.ts'
import type { Output, World } from './world.ts'

/**
 * Colours where `wanted` says so; when it does not say, on a terminal that has them, unless `NO_COLOR` is set. `FORCE_COLOR`
 * colours what is no terminal.
 */
export function paintFor(output: Output, env: World['env'], wanted: boolean | undefined): Paint {
  if (wanted !== undefined) return wanted ? coloured : plain
  if (isSet(env.NO_COLOR)) return plain
  if (isSet(env.FORCE_COLOR) && env.FORCE_COLOR !== '0') return coloured
  return output.isTTY && env.TERM !== 'dumb' ? coloured : plain
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== ''
}
