import { rmSync } from 'node:fs'
import { ConvertError } from './errors.ts'
import type { Model } from './ir/index.ts'
import type { ConvertOptions } from './options.ts'
import type { ReportDocument, Verification } from './report/index.ts'
import type { Warning } from './rewrite/index.ts'
import { installedRuntime, tryConverted } from './runtime/index.ts'
import { compareVersions } from './targets/index.ts'

/** A single call of the runtime may take this long; small inputs on a model that needs longer prove nothing more. */
const timeout = 120_000

/**
 * The report of a written model with what ONNX Runtime says of it. A model that does not load, or fails where its original
 * runs, is removed again and the error thrown; a runtime that is missing or too old to judge is a warning.
 */
export async function tryWritten(
  document: ReportDocument,
  model: Model,
  original: string,
  { signal, onProgress }: ConvertOptions,
): Promise<ReportDocument> {
  const installed = installedRuntime()
  if (installed === undefined) return notVerified(document, 'onnxruntime-node is not installed', 'runtime-missing')
  const path = document.files.at(-1)?.path ?? ''
  onProgress?.('verify', 0, 1)
  try {
    const trial = await tryConverted({ model, path, original }, { timeout, ...(signal && { signal }) })
    const verification: Verification = { loaded: true, ran: trial.ran, reason: trial.ran ? null : trial.reason }
    if (trial.ran) return { ...document, verification }
    const message = `it was loaded but could not be run on generated input: ${trial.reason}`
    return { ...document, verification, warnings: [...document.warnings, { code: 'not-run', message }] }
  } catch (error) {
    const needed = document.requires.runtime
    if (isJudgement(error) && needed !== null && compareVersions(installed, needed) < 0) {
      return notVerified(document, `it needs ONNX Runtime ${needed}, installed is ${installed}`, 'runtime-too-old')
    }
    if (error instanceof ConvertError && (error.code === 'runtime-missing' || error.code === 'runtime-timeout')) {
      return notVerified(document, error.message, error.code)
    }
    for (const file of document.files) rmSync(file.path, { force: true })
    throw error
  }
}

function isJudgement(error: unknown): boolean {
  return error instanceof ConvertError && (error.code === 'runtime-model' || error.code === 'runtime-broken')
}

function notVerified(document: ReportDocument, reason: string, code: string): ReportDocument {
  const warning: Warning = {
    code: `not-verified-${code}`,
    message: `the result was not tried in ONNX Runtime: ${reason}`,
  }
  return { ...document, verification: { loaded: false, ran: false, reason }, warnings: [...document.warnings, warning] }
}
