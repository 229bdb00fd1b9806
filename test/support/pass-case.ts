import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TargetOptions } from '../../src/options.ts'
import { policiesOf, targetOf } from '../../src/options.ts'
import { defaultSettings, Quantization } from '../../src/quantize/index.ts'
import type { PipelineSettings } from '../../src/rewrite/index.ts'

export const fixtures = new URL('../../fixtures/', import.meta.url).pathname

/** One file of fixtures/passes: a model before and after a pass. */
export interface PassCase {
  readonly pass: string
  /** The file name, which says what the case shows. */
  readonly claim: string
  readonly before: string
  /** Undefined for a `not-…` case: the pass must leave the model alone. */
  readonly after: string | undefined
  readonly settings: PipelineSettings
  /** Why the effect is not checked with numbers, when the case says so. */
  readonly numbers: string | undefined
}

const separator = /^-----\n/m
const keys = [
  'target',
  'target-version',
  'provider',
  'form',
  'sink',
  'include',
  'only',
  'except',
  'force',
  'numbers',
  'opset',
  'ranges',
  'convolutions',
] as const

export function passCases(): PassCase[] {
  const folder = join(fixtures, 'passes')
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name: pass }) =>
      readdirSync(join(folder, pass))
        .filter((file) => file.endsWith('.txt'))
        .sort()
        .map((file) => parseCase(pass, file.slice(0, -'.txt'.length), readFileSync(join(folder, pass, file), 'utf8'))),
    )
}

function parseCase(pass: string, claim: string, text: string): PassCase {
  const [before = '', after] = text.split(separator)
  const must = claim.startsWith('not-') ? after === undefined : after !== undefined
  if (!must) throw new Error(`${pass}/${claim}: a case has an "after" exactly when its name does not begin with "not-"`)
  const header = headerOf(before)
  const { sink = '0', numbers, form, opset, ranges, convolutions, ...rest } = header
  const values = sink.split(',').map(Number)
  const list = (key: 'include' | 'only' | 'except' | 'force') => rest[key]?.split(/,\s*/)
  const settings = {
    target: targetOf({
      target: rest.target,
      targetVersion: rest['target-version'],
      provider: rest.provider,
    } as TargetOptions),
    policies: policiesOf({
      include: list('include') as never,
      only: list('only'),
      except: list('except'),
      force: list('force'),
    }),
    sink: values.length === 1 ? (values[0] ?? 0) : () => values,
    form: form as PipelineSettings['form'],
    opset: opset === undefined ? undefined : Number(opset),
    quantization: ranges === undefined ? undefined : quantizationOf(ranges, convolutions === 'true'),
  }
  return { pass, claim, before, after, settings, numbers }
}

/** What calibration saw: `x -1..2, y 0..3`. */
function quantizationOf(ranges: string, convolutions: boolean): Quantization {
  const seen = ranges.split(/,\s*/).map((entry) => {
    const [, name = '', min, max] = /^(\S+) (\S+)\.\.(\S+)$/.exec(entry) ?? []
    const range = { min: Number(min), max: Number(max) }
    return [name, { range, channels: undefined, rangeBy: () => range }] as const
  })
  const statistics = new Map(seen)
  return new Quantization((name) => statistics.get(name), { ...defaultSettings, convolutions })
}

/** Replaces what stands behind the separator of a case. */
export function writeAfter({ pass, claim, before }: PassCase, after: string): void {
  writeFileSync(join(fixtures, 'passes', pass, `${claim}.txt`), `${before}-----\n${after}`)
}

/** `# key: value` lines at the top. Other comments are for the reader. */
function headerOf(text: string): Partial<Record<(typeof keys)[number], string>> {
  const lines = text.split('\n')
  const end = lines.findIndex((line) => !line.startsWith('#'))
  const pairs = lines.slice(0, end).map((line) => /^# ([a-z-]+): (.*)$/.exec(line)?.slice(1) ?? ['', ''])
  return Object.fromEntries(pairs.filter(([key]) => keys.includes(key as (typeof keys)[number])))
}
