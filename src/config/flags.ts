import { usage } from '../errors.ts'
import { policyNames } from '../options.ts'
import type { Precision } from '../rewrite/pass.ts'
import { forms, providers, targetNames } from '../targets/index.ts'
import { grouped } from './flag.ts'

/** A flag that takes a name or pattern, and more of them by being repeated. */
const names = (describe: string) => ({ type: 'string', array: true, requiresArg: true, describe }) as const

/** Flags of every command. */
export const commonFlags = grouped('General:', {
  json: { type: 'boolean', describe: 'Print one JSON document on stdout' },
  quiet: { type: 'boolean', alias: 'q', describe: 'Print errors only' },
  color: { type: 'boolean', describe: 'Colours; default: on a terminal, unless NO_COLOR is set' },
  debug: { type: 'boolean', hidden: true, describe: 'Print the stack of an error' },
  config: {
    type: 'string',
    requiresArg: true,
    describe: 'Config file; default: outeffhop.config.* here or above; --no-config: none',
  },
  'print-config': { type: 'boolean', describe: 'Print what every setting is and where it comes from, and do nothing' },
})

/** A report beside the result. */
export const reportFlag = grouped('Output:', {
  report: {
    type: 'string',
    array: true,
    requiresArg: true,
    path: true,
    describe: 'Write a page of what was found and measured to FILE too, or with .json its numbers (may be repeated)',
  },
})

/** Which softmaxes count. */
export const siteFlags = grouped('Which softmaxes:', {
  only: names('Convert only sites whose node name matches GLOB (*, ?, {a,b}; may be repeated)'),
  except: names('Leave sites alone whose node name matches GLOB (may be repeated)'),
  convert: names('Convert the site NAME whatever was found: decides a site to review (may be repeated)'),
  include: {
    type: 'string',
    array: true,
    requiresArg: true,
    choices: policyNames,
    describe: 'Count debatable attention too: pooling, channel or static-memories (may be repeated)',
  },
})

/** Where the result will run. */
export const runFlags = grouped('Target:', {
  target: {
    type: 'string',
    choices: targetNames,
    requiresArg: true,
    describe: 'What the result is for: ort (default), tensorrt or onnx',
  },
  'target-version': { type: 'string', requiresArg: true, describe: 'Oldest version that must run the result' },
  provider: {
    type: 'string',
    choices: providers,
    requiresArg: true,
    describe: 'Execution provider: any (default), cpu, cuda or webgpu',
  },
})

/** Where the result will run, and how Softmax1 is spelled there. */
export const targetFlags = {
  ...runFlags,
  ...grouped('Target:', {
    form: {
      type: 'string',
      choices: forms,
      requiresArg: true,
      describe: 'Use this form where it can be; the command targets lists them',
    },
  }),
} as const

/** The types that are not quantized. */
export const precisionFlags = grouped('Target:', {
  float16: { type: 'boolean', describe: 'Compute in float16 where half precision is enough' },
  bfloat16: { type: 'boolean', describe: 'The same in bfloat16' },
})

/** Throws `usage` where both are asked for. */
export function precisionOf(flags: {
  float16?: boolean | undefined
  bfloat16?: boolean | undefined
}): Precision | undefined {
  if (flags.float16 && flags.bfloat16) throw usage('--float16 and --bfloat16 exclude each other')
  return flags.float16 ? 'float16' : flags.bfloat16 ? 'bfloat16' : undefined
}

export const hashFlag = grouped('Output:', {
  hash: { type: 'boolean', describe: 'Put the sha256 of every file in the report' },
})

export const cacheDirFlag = grouped('Cache:', {
  'cache-dir': {
    type: 'string',
    requiresArg: true,
    describe: 'Where results are kept; default: OUTEFFHOP_CACHE_DIR, else the place of the platform',
  },
})

/** Where the result goes. */
export const outputFlags = (fallback: string) =>
  grouped('Output:', {
    output: {
      type: 'string',
      alias: 'o',
      requiresArg: true,
      path: true,
      describe: `File to write; default ${fallback}`,
    },
    overwrite: { type: 'boolean', describe: 'Replace an existing output' },
    'external-data': {
      type: 'string',
      choices: ['auto', 'always', 'never', 'link'],
      requiresArg: true,
      describe: 'Weights of 1 KiB and more in a file of their own: auto (default), always, never, or link to the input',
    },
  })

export const depfileFlag = grouped('Output:', {
  depfile: {
    type: 'string',
    requiresArg: true,
    path: true,
    describe: 'Write the files the output is made of to FILE, for make and ninja',
  },
})

/** The name-valued flags as site options. */
export function siteOptions(flags: {
  readonly only?: readonly string[] | undefined
  readonly except?: readonly string[] | undefined
  readonly convert?: readonly string[] | undefined
  readonly include?: readonly (typeof policyNames)[number][] | undefined
}) {
  const { only = [], except = [], convert: force = [], include = [] } = flags
  return { only, except, force, include }
}
