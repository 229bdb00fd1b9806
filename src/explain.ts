import { findSites } from './attention/index.ts'
import { checkOptions } from './check-options.ts'
import type { ModelInput } from './convert.ts'
import { Model } from './ir/index.ts'
import { closeModel, openModel } from './onnx/index.ts'
import { explainKinds } from './option-kinds.ts'
import type { SiteOptions, TargetOptions } from './options.ts'
import { policiesOf, targetOf, unmatched } from './options.ts'
import type { CalibrationEntry, ReportDocument } from './report/index.ts'
import { describeModel, describeRun } from './report/index.ts'
import { Report } from './rewrite/index.ts'

export interface ExplainOptions extends SiteOptions, TargetOptions {
  /** Put the sha256 of the model file in the report. */
  readonly hash?: boolean | undefined
  /** A calibration table made with this model: then the report says what Softmax1 changes, head by head. */
  readonly calibration?: string | undefined
}

/**
 * Says for every softmax of a model, in every graph of it, what it is and why. Nothing is rewritten and nothing written;
 * no weight is read.
 */
export async function explain(input: ModelInput, options: ExplainOptions = {}): Promise<ReportDocument> {
  checkOptions(options, explainKinds)
  const target = targetOf(options)
  const policies = policiesOf(options)
  const model = input instanceof Model ? input : openModel(input)
  try {
    const report = new Report()
    const sites = findSites(model, policies)
    for (const site of sites) report.add(site)
    for (const pattern of unmatched(options, [...report.sites.values()]))
      report.warn('pattern-unused', patternUnused(pattern))
    const described = await describeModel(model, options)
    const document = describeRun('explain', { model: described, target, sink: 'zero, not verified', report, runs: [] })
    const { calibration } = options
    return calibration === undefined ? document : { ...document, calibration: await calibrationOf(calibration, model) }
  } finally {
    if (model !== input) closeModel(model)
  }
}

async function calibrationOf(path: string, model: Model): Promise<CalibrationEntry> {
  const [{ checkBelongs, readOwnTable }, { calibrationEntry }] = await Promise.all([
    import('./calibrate/index.ts'),
    import('./report/calibration.ts'),
  ])
  const table = readOwnTable(path)
  checkBelongs(table, model, path)
  return calibrationEntry(path, table)
}

/** What is said of a name or pattern that no softmax has. */
export function patternUnused(pattern: string): string {
  const list = /^[^{}]*,[^{}]*$/.test(pattern) ? '; several names are given one by one, or as {a,b}' : ''
  return `"${pattern}" is the name of no softmax in the model${list}`
}
