import type { ExitKind } from '../errors.ts'
import type { schema } from './document.ts'

/** One fact of a lock file beside the same fact as it is now. */
export interface CheckedFact {
  /** What is compared: `site "/layer.0/Softmax"`, `operator MatMul`, `output "logits": SQNR`. */
  readonly fact: string
  readonly group: FactGroup
  readonly ok: boolean
  /** In words; null where there was, or is, nothing of it. */
  readonly was: string | null
  readonly is: string | null
  /** What to do about it; null where nothing is to be done. */
  readonly todo: string | null
}

/** Which part of a check a fact belongs to. */
export type FactGroup = 'input' | 'conversion' | 'graph' | 'sites' | 'products' | 'outputs' | 'thresholds'

/** One model of a lock file. */
export interface CheckedModel {
  /** Its name in the lock file. */
  readonly name: string
  /** The path of the model, from where the program runs. */
  readonly model: string
  readonly outcome: 'unchanged' | 'drift' | 'recorded' | 'failed'
  /** Whether what it is now was known from an earlier check of the same files. */
  readonly cached: boolean
  /** Every fact that was compared; empty for a model that was recorded or could not be checked. */
  readonly facts: readonly CheckedFact[]
  readonly notes: readonly string[]
  /** Why it could not be checked. */
  readonly error: {
    readonly code: string
    readonly kind: ExitKind
    readonly message: string
    readonly hint: string | null
  } | null
}

/** What `--json` prints for `check`. */
export interface CheckDocument {
  readonly schema: typeof schema
  readonly command: 'check'
  readonly lock: string
  /** Whether the lock file was written. */
  readonly written: boolean
  readonly ok: boolean
  readonly models: readonly CheckedModel[]
}

/** What is not as it was. */
export function driftsOf({ facts }: Pick<CheckedModel, 'facts'>): readonly CheckedFact[] {
  return facts.filter(({ ok }) => !ok)
}

/** A drift in one sentence: what was, what is, and what to do. */
export function driftWords({ fact, was, is, todo }: CheckedFact): string {
  return `${fact}: was ${was ?? 'absent'}, is ${is ?? 'absent'}; ${todo ?? 'nothing is to be done'}`
}
