import { ConvertError } from './errors.ts'
import type { ReportDocument } from './report/index.ts'

/** A conversion that a check refused, with the report that says why. Nothing was written. */
export class ConversionRefused extends ConvertError {
  readonly document: ReportDocument

  constructor(reason: ConvertError, document: ReportDocument) {
    super(reason.code, reason.kind, reason.message, reason.at, reason.hint)
    this.document = document
  }
}
