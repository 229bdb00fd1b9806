import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TargetOptions } from '../../src/options.ts'
import { policiesOf, targetOf } from '../../src/options.ts'
import { explicitOf } from '../../src/quantization-options.ts'
import type { QuantizationSettings, Recipe } from '../../src/quantize/index.ts'
import { choicesOf, defaultSettings, Quantization } from '../../src/quantize/index.ts'
import type { PipelineSettings, Precision } from '../../src/rewrite/index.ts'

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
  'scales',
  'include',
  'only',
  'except',
  'force',
  'numbers',
  'opset',
  'precision',
  'ranges',
  'channels',
  'convolutions',
  'recipe',
  'protocol',
  'pre-dequantize',
  'softmax-bias',
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
  const {
    sink = '0',
    scales,
    numbers,
    form,
    opset,
    precision,
    ranges,
    channels,
    convolutions,
    recipe,
    protocol,
    ...rest
  } = header
  const values = sink.split(',').map(Number)
  const list = (key: 'include' | 'only' | 'except' | 'force') => rest[key]?.split(/,\s*/)
  const wanted = {
    target: rest.target,
    targetVersion: rest['target-version'],
    provider: rest.provider,
  } as TargetOptions
  const type = precision as Precision | undefined
  const settings = {
    target: targetOf(wanted),
    policies: policiesOf({
      include: list('include') as never,
      only: list('only'),
      except: list('except'),
      force: list('force'),
    }),
    sink: values.length === 1 ? (values[0] ?? 0) : () => values,
    headScale: scales === undefined ? undefined : () => scales.split(',').map(Number),
    form: form as PipelineSettings['form'],
    opset: opset === undefined ? undefined : Number(opset),
    precision: type,
    quantization:
      ranges === undefined && channels === undefined && recipe === undefined
        ? undefined
        : withSoftmaxBias(
            header['softmax-bias'],
            quantizationOf(ranges ?? '', channels ?? '', {
              ...defaultSettings,
              ...choicesOf((recipe as Recipe | undefined) ?? defaultSettings.recipe),
              explicit: explicitOf({ ...wanted, precision: type }),
              convolutions: convolutions === 'true',
              preDequantize: header['pre-dequantize'] === 'true',
              protocol: protocol as QuantizationSettings['protocol'],
            }),
          ),
  }
  return { pass, claim, before, after, settings, numbers }
}

/** `p 0.5 0.25`: of each head of the probabilities p. */
function withSoftmaxBias(text: string | undefined, quantization: Quantization): Quantization {
  const [name, ...bias] = text?.split(' ') ?? []
  if (name !== undefined) quantization.softmaxBias.set(name, bias.map(Number))
  return quantization
}

/** What calibration saw: `x -1..2, y 0..3`, and by channel of the last axis `x -1..2 0..8, y 0..3 0..1`. */
function quantizationOf(ranges: string, channels: string, settings: QuantizationSettings): Quantization {
  const seen = [...entriesOf(channels), ...entriesOf(ranges)].map(([name, found]) => {
    const [min, max] = [found.map(([low]) => low), found.map(([, high]) => high)].map((x) => Float64Array.from(x))
    const mean = min?.map((low, j) => (low + (max?.[j] ?? 0)) / 2)
    const range = { min: Math.min(...(min ?? [])), max: Math.max(...(max ?? [])) }
    const byChannel = found.length > 1 && min && max && mean ? { axis: -1, min, max, mean } : undefined
    return [name, { range, channels: byChannel, rangeBy: () => range }] as const
  })
  const statistics = new Map(seen)
  return new Quantization((name) => statistics.get(name), settings)
}

function entriesOf(list: string): [string, [number, number][]][] {
  const entries = list === '' ? [] : list.split(/,\s*/)
  return entries.map((entry) => {
    const [name = '', ...found] = entry.split(' ')
    return [name, found.map((range) => range.split('..').map(Number) as [number, number])]
  })
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
