import { join } from 'node:path'
import type { BuiltKernels } from '../../build-kernels.ts'
import type { FlagTable } from '../../config/flag.ts'
import { grouped } from '../../config/flag.ts'
import { exitCodes, usage } from '../../errors.ts'
import type { KernelPlaces } from '../../kernel-places.ts'
import { alignRows } from '../../report/table.ts'
import type { Arguments, Environment } from '../command.ts'
import { defineCommand } from '../command.ts'
import { progressOn } from '../progress.ts'
import { printJson } from '../results.ts'
import { paintFor } from '../terminal.ts'

const flags = {
  ...grouped('Kernels:', {
    where: { type: 'boolean', describe: 'Say where the sources are, and what was built' },
    build: { type: 'boolean', describe: 'Build the operators for ONNX Runtime with cmake, and try them here' },
    output: {
      type: 'string',
      alias: 'o',
      requiresArg: true,
      describe: 'Folder of what is built; default: in the cache',
    },
    headers: {
      type: 'string',
      requiresArg: true,
      describe: 'Folder of onnxruntime_c_api.h; default: ONNXRUNTIME_INCLUDE, below ONNXRUNTIME_ROOT, or of the system',
    },
    cuda: { type: 'boolean', describe: 'Build the CUDA kernels too, or not (--no-cuda); default: where nvcc is' },
    'cuda-architectures': {
      type: 'string',
      requiresArg: true,
      describe: 'Build them for these only, as cmake names them: "80;90"',
    },
  }),
} as const satisfies FlagTable

type Given = Arguments<typeof flags>

export const kernelsCommand = defineCommand({
  usage: ['kernels'],
  describe: 'Build the fused kernels for ONNX Runtime (--build), or say where they are (--where)',
  flags,
  async run(args: Given, environment) {
    if (args.where === args.build) throw usage('kernels needs one of --where and --build')
    const folder = args.output ?? (await defaultFolder(environment))
    return args.build ? build(folder, args, environment) : where(folder, args, environment)
  },
})

async function defaultFolder({ world }: Environment): Promise<string> {
  const { cacheFolder } = await import('../../cache/index.ts')
  return join(cacheFolder(world.env), 'kernels')
}

async function where(folder: string, args: Given, { world }: Environment): Promise<number> {
  const { findKernels } = await import('../../kernel-places.ts')
  const places = findKernels(folder)
  if (args.json) printJson({ schema: 1, command: 'kernels', ...places }, world)
  else if (!args.quiet) world.stdout.write(`${rowsOf(places).join('\n')}\n`)
  return exitCodes.done
}

async function build(folder: string, args: Given, { world, signal }: Environment): Promise<number> {
  const { buildKernels } = await import('../../build-kernels.ts')
  const progress = progressOn(world.stderr, world.now)
  try {
    const built = await buildKernels({
      ...{ folder, headers: args.headers, cuda: args.cuda, architectures: args['cuda-architectures'] },
      ...{ env: world.env, signal },
      onProgress: (phase, done, total) => {
        if (!args.quiet) progress.update(phase, done, total)
      },
    })
    progress.end()
    if (args.json) printJson({ schema: 1, command: 'kernels', ...built }, world)
    else if (!args.quiet) world.stdout.write(described(built, paintFor(world.stdout, world.env, args.color).faint))
    return exitCodes.done
  } finally {
    progress.end()
  }
}

function rowsOf({ sources, library, bridge, folder }: KernelPlaces): string[] {
  const missing = `none in ${folder}; outeffhop-convert kernels --build makes it`
  const rows = {
    sources,
    library: library ?? missing,
    bridge: bridge ?? (library === null ? missing : 'was not built'),
  }
  return alignRows(Object.entries(rows).map(([name, text]) => [{ text: name }, { text }]))
}

function described(built: BuiltKernels, faint: (text: string) => string): string {
  const { library, bridge, cuda, checks } = built
  const load = [
    `Python  options.register_custom_ops_library(${JSON.stringify(library)})`,
    bridge === null
      ? ''
      : `Node    require('onnxruntime-node'); require(${JSON.stringify(bridge)}).load(${JSON.stringify(library)})`,
  ]
  const lines = [
    ...rowsOf(built),
    '',
    `For the CPU${cuda ? ' and CUDA' : ' only'}. Tried here: ${checks.join('; ')}.`,
    cuda ? 'The CUDA kernels were compiled and not run.' : '',
    ...load.filter((line) => line !== '').map(faint),
  ]
  return `${lines.filter((line, i) => line !== '' || i === 3).join('\n')}\n`
}
