import type { Model } from '../ir/index.ts'
import { hashFile, modelSize } from '../onnx/index.ts'
import type { PipelineResult, SiteReport } from '../rewrite/index.ts'
import type { TargetChoice } from '../targets/index.ts'
import type { ModelEntry, ReportDocument, SiteChange, SiteEntry } from './document.ts'
import { countSites, finite, schema } from './document.ts'

/** A model as the report names it. Hashing reads the whole file. */
export async function describeModel(
  model: Model,
  options: { readonly hash?: boolean | undefined },
): Promise<ModelEntry> {
  const { path, bytes } = modelSize(model)
  return {
    path: path ?? null,
    bytes,
    sha256: options.hash && path !== undefined ? await hashFile(path) : null,
    irVersion: model.irVersion,
    opsets: Object.fromEntries(model.opsetImports),
  }
}

export interface RunFacts extends PipelineResult {
  readonly model: ModelEntry
  readonly target: TargetChoice
  /** The sinks in words, or the one of all sites. */
  readonly sink: string | number
  /** What the sink of a converted site changes, where that is known. */
  readonly changeOf?:
    | ((site: Pick<SiteReport, 'graph' | 'sink'> & { readonly output: string }) => SiteChange | undefined)
    | undefined
}

/** The report of a run, before anything is written. */
export function describeRun(command: ReportDocument['command'], facts: RunFacts): ReportDocument {
  const { model, target, report, runs } = facts
  const sites = Array.from(report.sites, ([output, site]) => {
    const change = site.converted ? facts.changeOf?.({ ...site, output: output.name }) : undefined
    return siteEntry(site, change ?? null)
  })
  const { runtime, provider } = report
  return {
    schema,
    command,
    model,
    target: { name: target.target.name, version: target.version ?? null, provider: target.provider },
    requires: {
      runtime: runtime?.version ?? null,
      provider: provider?.name ?? null,
      reasons: [runtime?.reason, provider?.reason].filter((reason) => reason !== undefined),
    },
    sink: facts.sink,
    sites,
    counts: countSites(sites),
    files: [],
    verification: null,
    passes: runs.map(({ pass, stage, changed }) => ({ pass, stage, changed })),
    warnings: [...report.warnings],
  }
}

function siteEntry(site: SiteReport, change: SiteChange | null): SiteEntry {
  const sink = typeof site.sink === 'number' ? finite(site.sink) : (site.sink?.map(finite) ?? null)
  const { node, graph, op, spelling, verdict, reason, message, converted, form, formReason, rejectedForms, notes } =
    site
  return {
    node,
    graph,
    op,
    spelling,
    verdict,
    reason,
    message,
    converted,
    form,
    formReason,
    rejectedForms,
    sink,
    change,
    notes,
  }
}
