import { ConvertError } from './errors.ts'
import type { Model } from './ir/index.ts'
import type { ReportDocument, Verification } from './report/index.ts'
import { installedRuntime, tryConverted } from './runtime/index.ts'
import { compareVersions } from './targets/index.ts'

/** A single call of the runtime may take this long; small inputs on a model that needs longer prove nothing more. */
const timeout = 120_000

export interface Candidate {
  readonly model: Model
  /** Where the converted model is, complete but not yet in its place. */
  readonly path: string
  /** What it was converted from; `undefined` when that is in memory only. */
  readonly original: string | Uint8Array | undefined
  /** The oldest runtime version the result needs. */
  readonly runtime: string | null
}

/**
 * What ONNX Runtime says of a converted model. Throws when it does not load, or fails where its original runs; a runtime
 * that is missing, too old to judge, or too slow is no fault of the model.
 */
export async function verifyConverted(candidate: Candidate, signal: AbortSignal | undefined): Promise<Verification> {
  const installed = installedRuntime()
  if (installed === undefined) return unknown('onnxruntime-node is not installed')
  try {
    const trial = await tryConverted(candidate, { timeout, ...(signal && { signal }) })
    return { loaded: true, ran: trial.ran, reason: trial.ran ? null : trial.reason }
  } catch (error) {
    if (!(error instanceof ConvertError)) throw error
    const { runtime } = candidate
    const judged = ['runtime-model', 'runtime-neither', 'runtime-broken'].includes(error.code)
    if (judged && runtime !== null && compareVersions(installed, runtime) < 0) {
      return unknown(`it needs ONNX Runtime ${runtime}, and ${installed} is installed`)
    }
    if (error.code === 'runtime-missing' || error.code === 'runtime-timeout') return unknown(error.message)
    throw error
  }
}

function unknown(reason: string): Verification {
  return { loaded: false, ran: false, reason }
}

/** The report with what came of the trial, and a warning when it proved less than it could. */
export function withVerification(document: ReportDocument, verification: Verification): ReportDocument {
  const { loaded, ran, reason } = verification
  if (ran) return { ...document, verification }
  const warning = loaded
    ? { code: 'not-run', message: `the result loads, but could not be run on generated input: ${reason}` }
    : { code: 'not-verified', message: `the result was not tried in ONNX Runtime: ${reason}` }
  return { ...document, verification, warnings: [...document.warnings, warning] }
}
