export type { CalibrationDocument, CalibrationEntry, HeadEntry, SiteCalibration } from './calibration.ts'
export { summarizeCalibration } from './calibration-text.ts'
export { changeEntry } from './change.ts'
export { describeModel, describeRun } from './describe.ts'
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
export { isAllSoftmax1, unconverted } from './document.ts'
export type { Inspection } from './inspection.ts'
export { describeInspection, inspectModel } from './inspection.ts'
export { summarize } from './summary.ts'
export { warningLines } from './warnings.ts'
