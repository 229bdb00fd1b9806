import type { Options } from 'yargs'
import { policyNames } from '../options.ts'
import { forms, providers, targets } from '../targets/index.ts'

/** A flag that takes names or patterns, one each time it is given. */
const names = (describe: string) =>
  ({ type: 'string', array: true, requiresArg: true, group: 'Sites:', describe }) as const

/** Flags of every command. */
export const commonFlags = {
  json: { type: 'boolean', describe: 'Print one JSON document on stdout' },
  quiet: { type: 'boolean', alias: 'q', default: false, describe: 'Print errors only' },
  color: { type: 'boolean', describe: 'Colours; default: on a terminal, unless NO_COLOR is set' },
  debug: { type: 'boolean', hidden: true, describe: 'Print the stack of an error' },
} as const satisfies Record<string, Options>

/** Which softmaxes count. */
export const siteFlags = {
  only: names('Convert only sites whose node name matches GLOB'),
  except: names('Leave sites alone whose node name matches GLOB'),
  convert: names('Convert the site NAME whatever was found: decides a site to review'),
  include: {
    type: 'string',
    array: true,
    requiresArg: true,
    group: 'Sites:',
    choices: policyNames,
    describe: 'Debatable attention that is left alone otherwise',
  },
} as const satisfies Record<string, Options>

/** Where the result will run. */
export const targetFlags = {
  target: {
    type: 'string',
    default: 'ort',
    choices: [...targets.keys()],
    requiresArg: true,
    describe: 'What the result is for',
  },
  'target-version': { type: 'string', requiresArg: true, describe: 'Oldest version that must run the result' },
  provider: {
    type: 'string',
    default: 'any',
    choices: providers,
    requiresArg: true,
    describe: 'Execution provider the result must be right on',
  },
  form: { type: 'string', choices: forms, requiresArg: true, describe: 'Use this form wherever its conditions hold' },
} as const satisfies Record<string, Options>

export const hashFlag = {
  hash: { type: 'boolean', describe: 'Put the sha256 of every file in the report' },
} as const satisfies Record<string, Options>

/** The name-valued flags as site options. */
export function siteOptions(flags: {
  readonly only?: string[] | undefined
  readonly except?: string[] | undefined
  readonly convert?: string[] | undefined
  readonly include?: readonly (typeof policyNames)[number][] | undefined
}) {
  const { only = [], except = [], convert: force = [], include = [] } = flags
  return { only, except, force, include }
}
