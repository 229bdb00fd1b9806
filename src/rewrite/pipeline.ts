import type { Policies, Site } from '../attention/index.ts'
import { bug, ConvertError } from '../errors.ts'
import type { Model } from '../ir/index.ts'
import { isSorted, verify } from '../ir/index.ts'
import type { Quantization } from '../quantize/index.ts'
import type { Form, TargetChoice } from '../targets/index.ts'
import { Analysis } from './analysis.ts'
import { dropUnusedImport } from './opset.ts'
import type { OptionSet } from './options.ts'
import type { HeadScaleOf, Pass, Precision, SinkOf, Stage, Switch } from './pass.ts'
import { stages } from './pass.ts'
import { Report } from './report.ts'

export interface PipelineSettings {
  readonly target: TargetChoice
  readonly policies?: Policies
  readonly sink?: number | SinkOf
  /** Multiply heads by these numbers, in the weights around them. */
  readonly headScale?: HeadScaleOf | undefined
  readonly form?: Form | undefined
  /** Raise the model to this default-domain opset where it is older. */
  readonly opset?: number | undefined
  /** Compute in half precision where that is enough. */
  readonly precision?: Precision | undefined
  /** Which passes that have a switch run too. */
  readonly switches?: readonly Switch[] | undefined
  /** What the stages adapt and quantize work with; they do nothing without it. */
  readonly quantization?: Quantization | undefined
  /** Values of pass options, by pass name. */
  readonly options?: Readonly<Record<string, Readonly<Record<string, boolean | number | string>>>>
  /** Run the stages up to and including this one. */
  readonly stopAfter?: Stage | undefined
  /** Called after every pass that changed something. */
  readonly dump?: (pass: string, model: Model) => void
  readonly report?: Report
}

export interface PassRun {
  readonly pass: string
  readonly stage: Stage
  readonly changed: number
  readonly milliseconds: number
}

export interface PipelineResult {
  readonly report: Report
  readonly runs: readonly PassRun[]
}

/** Runs passes in the order of the stages (and of the list within a stage), and verifies the model after each stage. */
export function runPipeline(model: Model, passes: readonly Pass[], settings: PipelineSettings): PipelineResult {
  const report = settings.report ?? new Report()
  const { sink = 0, headScale } = settings
  const sinkOf = typeof sink === 'function' ? sink : () => sink
  const analysis = new Analysis(model, settings.policies ?? {})
  const runs: PassRun[] = []
  const sorted = isSorted(model)
  const last = settings.stopAfter ?? 'lower'
  for (const stage of stages.slice(0, stages.indexOf(last) + 1)) {
    for (const pass of passes) {
      if (pass.stage !== stage || (pass.when && !settings.switches?.includes(pass.when))) continue
      const start = performance.now()
      const context = {
        target: settings.target,
        sink: (site: Site) => sinkOf(site, report.foundBy(site)),
        headScale: headScale && ((site: Site) => headScale(site, report.foundBy(site))),
        form: settings.form,
        opset: settings.opset,
        precision: settings.precision,
        quantization: settings.quantization,
        report,
        options: optionValues(pass, settings.options?.[pass.name] ?? {}),
        get sites() {
          return analysis.sites
        },
        get facts() {
          return analysis.facts
        },
      }
      const changed = blamed(`while running ${pass.name}`, () => pass.run(model, context))
      runs.push({ pass: pass.name, stage, changed, milliseconds: performance.now() - start })
      if (changed > 0) analysis.forget()
      if (changed > 0) settings.dump?.(pass.name, model)
    }
    if (stage === 'lower') dropUnusedImport(model)
    const changing = runs.filter((run) => run.stage === stage && run.changed > 0).map((run) => run.pass)
    if (changing.length > 0) blamed(`after ${changing.join(', ')}`, () => verify(model, sorted))
  }
  return { report, runs }
}

function optionValues(pass: Pass<OptionSet>, given: Readonly<Record<string, unknown>>): PassOptions {
  return Object.fromEntries(
    Object.entries(pass.options).map(([name, declared]) => [name, given[name] ?? declared.default]),
  ) as PassOptions
}

type PassOptions = Parameters<Pass<OptionSet>['run']>[1]['options']

/** A fault of ours names the pass it came from; what the model or the user is to blame for is passed on. */
function blamed<T>(where: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (error instanceof ConvertError && error.kind !== 'bug') throw error
    const wrapped = bug(`${where}: ${error instanceof Error ? error.message : String(error)}`)
    wrapped.cause = error
    throw wrapped
  }
}
