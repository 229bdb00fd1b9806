import type { Site, VerdictKind } from '../attention/index.ts'
import type { Value } from '../ir/index.ts'
import { compareVersions } from '../targets/index.ts'

/** What happened to one site. */
export interface SiteReport {
  readonly node: string
  /** `''` for the main graph, else the path of the nested graph or function. */
  readonly graph: string
  readonly op: string
  readonly spelling: string
  verdict: VerdictKind
  reason: string | null
  message: string
  converted: boolean
  /** How Softmax1 is spelled in the result; null where nothing was lowered. */
  form: string | null
  /** Why this form was taken. */
  formReason: string | null
  /** The reason goes on a sentence that begins with the form. */
  readonly rejectedForms: { readonly form: string; readonly reason: string }[]
  /** The logit added to the denominator: one number, or one per head; null for a site that has none. */
  sink: number | readonly number[] | null
  readonly notes: string[]
}

export interface Warning {
  readonly code: string
  readonly message: string
  readonly at?: { readonly node?: string; readonly value?: string; readonly graph?: string }
}

/** What a pipeline run found and did. Passes write to it; nothing else of theirs is visible outside the model. */
export class Report {
  /** In the order the sites were found, by the value that a site produced when it was found. */
  readonly sites = new Map<Value, SiteReport>()
  readonly warnings: Warning[] = []
  /** For a value that took the place of another one in a rewrite, the value its site was found by. */
  readonly #found = new Map<Value, Value>()
  /** Oldest runtime version the result needs, and why. */
  runtime: { readonly version: string; readonly reason: string } | null = null
  /** The only provider the result is right on; null when any will do. */
  provider: { readonly name: string; readonly reason: string } | null = null

  /** Adds a site as detection saw it. Known sites keep what is already written. */
  add(site: Site): SiteReport {
    const known = this.sites.get(this.foundBy(site))
    if (known) return known
    const entry: SiteReport = {
      node: site.node.label,
      graph: site.graphPath,
      op: site.node.op,
      spelling: site.spelling,
      verdict: site.verdict.kind,
      reason: site.verdict.reason,
      message: site.verdict.message,
      converted: false,
      form: null,
      formReason: null,
      rejectedForms: [],
      sink: site.sink.kind === 'zero' ? 0 : site.sink.kind === 'constant' ? site.sink.value : null,
      notes: [...site.notes],
    }
    this.sites.set(site.output, entry)
    return entry
  }

  /** The value a site was found by, whatever moved its normaliser since. */
  foundBy({ output }: Site): Value {
    return this.#found.get(output) ?? output
  }

  /** A rewrite moved the normaliser of a site: the site is now known by another value as well. */
  rekey(from: Value, to: Value): void {
    this.#found.set(to, this.#found.get(from) ?? from)
  }

  warn(code: string, message: string, at: Warning['at'] = {}): void {
    const known = (w: Warning): boolean =>
      w.code === code && w.message === message && w.at?.node === at.node && w.at?.graph === at.graph
    if (this.warnings.some(known)) return
    this.warnings.push({ code, message, at })
  }

  /** Raises what the result needs; a lower demand changes nothing. */
  require(need: { runtime?: string; provider?: string; reason: string }): void {
    if (
      need.runtime !== undefined &&
      (this.runtime === null || compareVersions(need.runtime, this.runtime.version) > 0)
    )
      this.runtime = { version: need.runtime, reason: need.reason }
    if (need.provider !== undefined) this.provider = { name: need.provider, reason: need.reason }
  }
}
