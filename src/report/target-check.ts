import type { ModelEntry, schema } from './document.ts'

/** Something about a model that a target cannot load, or does otherwise than it stands. */
export interface TargetFinding {
  readonly code: string
  /** `error`: the model does not load, or no engine is built of it. */
  readonly severity: 'error' | 'warning'
  /** One sentence, with the first of the names. */
  readonly message: string
  /** What to do, as a sentence; null where nothing is known. */
  readonly advice: string | null
  /** All nodes, or values, it is true of. */
  readonly names: readonly string[]
  /** Where it was measured or read; null for what the standard says. */
  readonly source: string | null
}

/** Whether one kernel is expected of an attention step. */
export interface FusionEntry {
  readonly node: string
  readonly graph: string
  /** `depends`: on the optimization profile; `plugin`: by the plugin the node asks for; `unknown`: its products are not known. */
  readonly fused: 'yes' | 'no' | 'depends' | 'plugin' | 'unknown'
  /** Why not, or on what it depends. */
  readonly reasons: readonly {
    readonly code: string
    readonly message: string
    readonly advice: string
    readonly source: string
  }[]
}

/** How an engine is built, and what its layer information should show. */
export interface BuildEntry {
  /** For a shell. The sizes of dynamic inputs are proposals. */
  readonly command: string
  readonly profile: readonly ProfileEntry[]
  readonly attention: readonly FusionEntry[]
  /** What to look for in the layer information. */
  readonly lookFor: string
}

/** The sizes of one dynamic input. */
export interface ProfileEntry {
  readonly input: string
  readonly min: readonly number[]
  readonly opt: readonly number[]
  readonly max: readonly number[]
}

/** What `--json` prints for `check-target`. */
export interface TargetCheckDocument {
  readonly schema: typeof schema
  readonly command: 'check-target'
  readonly model: ModelEntry
  readonly target: { readonly name: string; readonly version: string | null }
  /** The oldest version that has what the model uses, and what makes it so. */
  readonly requires: { readonly runtime: string | null; readonly reasons: readonly string[] }
  /** Whether there is no error among the findings. */
  readonly loads: boolean
  readonly findings: readonly TargetFinding[]
  /** Null for a target that builds no engines. */
  readonly build: BuildEntry | null
}
