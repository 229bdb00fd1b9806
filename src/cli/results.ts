import type { ReportDocument } from '../report/index.ts'
import { paintFor } from './terminal.ts'
import type { World } from './world.ts'

export interface Printing {
  readonly json: boolean | undefined
  readonly quiet: boolean | undefined
  readonly color?: boolean | undefined
  readonly dryRun?: boolean | undefined
}

/** A report on stdout, its warnings on stderr. */
export async function print(document: ReportDocument, printing: Printing, world: World): Promise<void> {
  if (printing.json) return printJson(document, world)
  if (printing.quiet) return
  const { summarize, warningLines } = await import('../report/index.ts')
  world.stdout.write(summarize(document, paintFor(world.stdout, world.env, printing.color), printing.dryRun))
  const paint = paintFor(world.stderr, world.env, printing.color)
  for (const line of warningLines(document.warnings)) world.stderr.write(`${paint.warn('warning:')} ${line}\n`)
}

export function printJson(document: object, world: World): void {
  world.stdout.write(`${JSON.stringify(document, null, 2)}\n`)
}
