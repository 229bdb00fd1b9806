import { ConvertError } from './errors.ts'
import type { QuantizationDocument, ReportDocument } from './report/index.ts'

/** Work that a check refused, with the report that says why. Nothing was written. */
class Refused<Document> extends ConvertError {
  readonly document: Document

  constructor(reason: ConvertError, document: Document) {
    super(reason.code, reason.kind, reason.message, reason.at, reason.hint)
    this.document = document
  }
}

/** A conversion that a check refused, with the report that says why. Nothing was written. */
export class ConversionRefused extends Refused<ReportDocument> {}

/** A quantization that a check refused, with the report that says why. Nothing was written. */
export class QuantizationRefused extends Refused<QuantizationDocument> {}
