import { exitCodes } from '../../errors.ts'
import { dtypeName } from '../../ir/index.ts'
import type { Paint } from '../../report/paint.ts'
import type { Cell } from '../../report/table.ts'
import { alignRows } from '../../report/table.ts'
import type { FormConditions, Target } from '../../targets/index.ts'
import { targets } from '../../targets/index.ts'
import { defineCommand } from '../command.ts'
import { printJson } from '../results.ts'
import { paintFor } from '../terminal.ts'

export const targetsCommand = defineCommand({
  usage: ['targets'],
  describe: 'List the targets, and the forms each accepts, best first',
  flags: {},
  async run(args, { world }) {
    const all = [...targets.values()]
    if (args.json) printJson({ schema: 1, command: 'targets', targets: all }, world)
    else {
      const paint = paintFor(world.stdout, world.env, args.color)
      world.stdout.write(`${all.map((target) => describe(target, paint).join('\n')).join('\n\n')}\n`)
    }
    return exitCodes.done
  },
})

function describe(target: Target, paint: Paint): string[] {
  const version = target.defaultVersion === undefined ? '' : ` (default --target-version ${target.defaultVersion})`
  const rows: Cell[][] = target.forms.map(({ form, summary, conditions }) => [
    { text: form, paint: paint.strong },
    { text: `${summary} ${paint.faint(conditionWords(conditions))}`.trimEnd() },
  ])
  return [`${paint.strong(target.name)}  ${target.summary}${version}`, ...alignRows(rows)]
}

/** The conditions of a form in words, as far as it has any. */
function conditionWords(conditions: FormConditions): string {
  const { since, providers, opset, dtypes, sink, mask, headSizeMultipleOf, selfAttention, onRequest } = conditions
  const words = [
    onRequest && 'only with --form',
    since && `version ${since} and later`,
    providers && `${providers.join(', ')} only`,
    opset && `opset ${opset} and later`,
    dtypes?.map((dtype) => dtypeName(dtype) ?? dtype).join(', '),
    sink === 'zero' && 'sink 0 only',
    sink === 'shared' && 'one sink for all heads',
    mask === false && 'no mask',
    headSizeMultipleOf && `head size a multiple of ${headSizeMultipleOf}`,
    selfAttention && 'self-attention',
  ].filter((word) => word)
  return words.length > 0 ? `[${words.join('; ')}]` : ''
}
