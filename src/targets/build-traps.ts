import type { DType } from '../ir/index.ts'

/** What a node, or a value, can have that stops a builder of engines or changes what it computes; `../import-symptoms.ts` finds it. */
export const importSymptoms = [
  'input-type',
  'zero-point',
  'quantized-type',
  'scale-not-positive',
  'slice-without-axes',
  'read-as-another',
  'undocumented',
  'attention-part',
  'rank-above-8',
  'dimension-above-int32',
  'double-value',
] as const
export type ImportSymptom = (typeof importSymptoms)[number]

/** Something that a parser refuses or reads otherwise than it is written. */
export interface ImportTrap {
  readonly code: string
  readonly severity: 'error' | 'warning'
  readonly symptom: ImportSymptom
  /** Operators it is about, as `Node.op` names them. Left out: all that can have the symptom. */
  readonly ops?: readonly string[]
  /** Element types it is about. */
  readonly types?: readonly DType[]
  /** The end of a sentence that begins with the operator or the value. */
  readonly message: string
  /** What to do, as a sentence. */
  readonly advice: string
  readonly source: string
}
