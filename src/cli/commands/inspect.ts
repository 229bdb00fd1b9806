import type { Options } from 'yargs'
import { hashFlag } from '../../config/flags.ts'
import { exitCodes } from '../../errors.ts'
import { defineCommand } from '../command.ts'
import { printJson } from '../results.ts'
import { paintFor } from '../terminal.ts'

const flags = {
  text: {
    type: 'boolean',
    describe: "Print the model in ONNX's textual syntax, large weights left out",
  },
  ...hashFlag,
} as const satisfies Record<string, Options>

export const inspectCommand = defineCommand({
  usage: ['inspect <model>'],
  describe: 'Say what is in a model file',
  flags,
  async run(args, { world }) {
    const { inspect, textOf } = await import('../../inspect.ts')
    if (args.text) {
      world.stdout.write(textOf(args.model))
      return exitCodes.done
    }
    const document = await inspect(args.model, { hash: args.hash })
    if (args.json) printJson(document, world)
    else {
      const { describeInspection } = await import('../../report/index.ts')
      world.stdout.write(describeInspection(document, paintFor(world.stdout, world.env, args.color)))
    }
    return exitCodes.done
  },
})
