export type { CalibrationDocument, CalibrationEntry, HeadEntry, SiteCalibration } from './calibration.ts'
export { summarizeCalibration } from './calibration-text.ts'
export { changeEntry } from './change.ts'
export type { CheckDocument, CheckedFact, CheckedModel, FactGroup } from './check.ts'
export { checkAnnotations, checkJunit, checkSummary } from './check-ci.ts'
export { summarizeCheck } from './check-text.ts'
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
  MeasuredOutliers,
  ModelEntry,
  OperatorsEntry,
  OutlierFigures,
  ReportDocument,
  SiteChange,
  SiteEntry,
  Verification,
} from './document.ts'
export { finite, isAllSoftmax1, schema, unconverted } from './document.ts'
export type { Environment } from './environment.ts'
export type { SourceDocument } from './gather.ts'
export { gatherReport, sourceCommands } from './gather.ts'
export type { Annotation } from './github.ts'
export { annotationCommand } from './github.ts'
export type { Inspection } from './inspection.ts'
export { countOperators, describeInspection, inspectModel } from './inspection.ts'
export type { Overlay } from './model-explorer.ts'
export { overlays } from './model-explorer.ts'
export type { ModelReport } from './model-report.ts'
export type { ObservedEntry } from './observed.ts'
export { observedEntry } from './observed.ts'
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
export type {
  BuildEntry,
  FusionEntry,
  ProfileEntry,
  TargetCheckDocument,
  TargetFinding,
} from './target-check.ts'
export { summarizeTargetCheck } from './target-check-text.ts'
export { warningLines } from './warnings.ts'
