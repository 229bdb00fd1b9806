import { exitCodes } from '../../errors.ts'
import { alignRows } from '../../report/table.ts'
import { defineCommand } from '../command.ts'
import { printJson } from '../results.ts'
import { paintFor } from '../terminal.ts'

export const passesCommand = defineCommand({
  usage: ['passes'],
  describe: 'List the passes in the order they run',
  flags: {},
  async run(args, { world }) {
    const { passes } = await import('../../../passes/index.ts')
    const { stages } = await import('../../rewrite/index.ts')
    const ordered = stages.flatMap((stage) => passes.filter((pass) => pass.stage === stage))
    if (args.json) {
      const list = ordered.map(({ name, stage, summary, effect, options }) => ({
        name,
        stage,
        summary,
        effect,
        options,
      }))
      printJson({ schema: 1, command: 'passes', passes: list }, world)
      return exitCodes.done
    }
    const paint = paintFor(world.stdout, world.env, args.color)
    const rows = ordered.map(({ name, stage, summary }) => [
      { text: stage, paint: paint.faint },
      { text: name, paint: paint.strong },
      { text: summary },
    ])
    world.stdout.write(`${alignRows(rows, '').join('\n')}\n`)
    return exitCodes.done
  },
})
