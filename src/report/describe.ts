import type { Model } from '../ir/index.ts'
import { hashFile, modelSize } from '../onnx/index.ts'
import type { PipelineResult, SiteReport } from '../rewrite/index.ts'
import type { TargetChoice } from '../targets/index.ts'
import type { ModelEntry, ReportDocument, SiteEntry } from './document.ts'
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
  readonly sink: number | ((...args: never[]) => unknown)
}

/** The report of a run, before anything is written. */
export function describeRun(command: ReportDocument['command'], facts: RunFacts): ReportDocument {
  const { model, target, report, runs } = facts
  const sites = Array.from(report.sites.values(), siteEntry)
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
    sink: sinkWords(facts.sink),
    sites,
    counts: countSites(sites),
    files: [],
    verification: null,
    passes: runs.map(({ pass, stage, changed }) => ({ pass, stage, changed })),
    warnings: [...report.warnings],
  }
}

function sinkWords(sink: RunFacts['sink']): string | number {
  if (typeof sink === 'function') return 'by site'
  return sink === 0 ? 'zero, not verified' : (finite(sink) ?? String(sink))
}

function siteEntry(site: SiteReport): SiteEntry {
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
    notes,
  }
}
