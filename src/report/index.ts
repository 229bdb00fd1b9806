export type { CalibrationDocument, CalibrationEntry, HeadEntry, SiteCalibration } from './calibration.ts'
export { summarizeCalibration } from './calibration-text.ts'
export { changeEntry } from './change.ts'
export type { ComparisonDocument, LatencyEntry, LayerEntry, OutputEntry } from './comparison.ts'
export { summarizeComparison } from './comparison-text.ts'
export { describeModel, describeRun } from './describe.ts'
export type { DetailEntry, DifferenceDocument, NodeChangeEntry } from './difference.ts'
export { describeDifference } from './difference.ts'
export { summarizeDifference } from './difference-text.ts'
export type {
  ChangeEntry,
  Counts,
  FileEntry,
  MeasuredChange,
  ModelEntry,
  OutlierFigures,
  ReportDocument,
  SiteChange,
  SiteEntry,
  Verification,
} from './document.ts'
export { finite, isAllSoftmax1, unconverted } from './document.ts'
export type { Inspection } from './inspection.ts'
export { describeInspection, inspectModel } from './inspection.ts'
export type {
  ChoiceEntry,
  ProductEntry,
  QuantizationDocument,
  QuantizationEntry,
  SessionOptionEntry,
} from './quantization.ts'
export { describeQuantization, quantizationEntry } from './quantization.ts'
export { summarizeQuantization } from './quantization-text.ts'
export type { SensitivityDocument, SensitivityEntry } from './sensitivity.ts'
export { describeSensitivity } from './sensitivity.ts'
export { summarizeSensitivity } from './sensitivity-text.ts'
export { summarize } from './summary.ts'
export { warningLines } from './warnings.ts'
