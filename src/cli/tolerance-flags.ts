import type { Tolerance, Tolerances } from '../compare/index.ts'
import type { ValuesOf } from '../config/flag.ts'
import { grouped } from '../config/flag.ts'
import { usage } from '../errors.ts'

const byOutput = (describe: string) => ({ type: 'string', array: true, requiresArg: true, describe }) as const

/** What is allowed of outputs, in the syntax of Polygraphy: `1e-3` for all, `logits:1e-3` for one. */
export const toleranceFlags = grouped('Tolerances ([OUTPUT:]NUMBER, may be repeated):', {
  atol: byOutput('Elements may be so far apart; with --rtol, one of the two is enough'),
  rtol: byOutput('Elements may be so far apart, relative to that of the first model'),
  'min-cosine': byOutput('Least cosine of a sample; default by precision: 0.9999 to 0.9'),
  'min-sqnr': byOutput('Least signal to noise in dB; default by precision: 50 to 6'),
  'min-top1': byOutput('Least share of rows with the same best class, where an output is a distribution'),
})

type ToleranceArguments = Partial<ValuesOf<typeof toleranceFlags>>

/** The tolerances that the flags name. Throws `usage` where one is no number. */
export function tolerancesOf(flags: ToleranceArguments): Tolerances {
  const found: Record<string, Tolerance> = {}
  for (const [flag, kind] of Object.entries(kinds)) {
    for (const words of flags[flag as keyof typeof kinds] ?? []) {
      const at = words.lastIndexOf(':')
      const output = words.slice(0, Math.max(0, at))
      const text = words.slice(at + 1).trim()
      const limit = text === '' ? Number.NaN : Number(text)
      if (!Number.isFinite(limit))
        throw usage(`--${flag} "${words}" has no number`, `Write --${flag} 0.001 or OUTPUT:0.001.`)
      found[output] = { ...found[output], [kind]: limit }
    }
  }
  // What is given for all counts for those that are named, where they say nothing else.
  return Object.fromEntries(Object.entries(found).map(([name, own]) => [name, { ...found[''], ...own }]))
}

const kinds = {
  atol: 'atol',
  rtol: 'rtol',
  'min-cosine': 'minCosine',
  'min-sqnr': 'minSqnr',
  'min-top1': 'minTop1',
} as const
