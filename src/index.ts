/**
 * Converts ONNX transformers to Softmax1 attention.
 *
 * ```js
 * import { convert } from 'outeffhop-convert'
 *
 * const { document } = await convert('model.onnx', { output: 'model.softmax1.onnx' })
 * for (const site of document.sites) console.log(site.node, site.converted, site.message)
 * ```
 *
 * What is exported here is promised: it changes with the major version only.
 */
export type { Contraction, Heads, Policies, Reason, Sink, Site, Step, Verdict, VerdictKind } from './attention/index.ts'
export { findSites } from './attention/index.ts'
export type { CalibrateOptions, MergeOptions } from './calibrate.ts'
export type { CheckOptions, ModelToRecord, Thresholds } from './check/index.ts'
export type { CompareOptions, ComparePhase } from './compare.ts'
export type { Config, ConfigEntry, ConvertEntry, QuantizeEntry } from './config/entry.ts'
export { defineConfig } from './config/entry.ts'
export type { ConvertResult, ModelInput } from './convert.ts'
export type { DataKind, DataManifest, DataOptions, DataSource, Sample } from './data/index.ts'
export type { ExitKind, Place } from './errors.ts'
export { ConvertError, exitCodes } from './errors.ts'
export type { ExplainOptions } from './explain.ts'
export type {
  Attribute,
  Attributes,
  Dim,
  DType,
  DTypeName,
  ModelFunction,
  Payload,
  Use,
  ValueType,
} from './ir/index.ts'
export { dtypeName, dtypes, Graph, Model, Node, Tensor, Value } from './ir/index.ts'
export type { OpenOptions, ParseOptions, PrintOptions, SavedFile, SaveOptions } from './onnx/index.ts'
export {
  closeModel,
  fromOnnxProto,
  modelToBytes,
  openModel,
  parseModel,
  printGraph,
  printModel,
  printNode,
  saveModel,
  toOnnxProto,
} from './onnx/index.ts'
export type { ConvertOptions, NamePattern, Phase, PolicyName, SiteOptions, TargetOptions } from './options.ts'
export type { QuantizeOptions, QuantizePhase } from './quantize.ts'
export { ConversionRefused, QuantizationRefused } from './refused.ts'
export type {
  CalibrationDocument,
  CheckDocument,
  CheckedFact,
  CheckedModel,
  ChoiceEntry,
  ComparisonDocument,
  Counts,
  DifferenceDocument,
  FileEntry,
  Inspection,
  LayerEntry,
  ModelEntry,
  ModelReport,
  OutputEntry,
  ProductEntry,
  QuantizationDocument,
  QuantizationEntry,
  ReportDocument,
  SensitivityDocument,
  SiteEntry,
  SourceDocument,
  Verification,
} from './report/index.ts'
export type { ReportInput, ReportOptions } from './report.ts'
export type { Stage, Warning } from './rewrite/index.ts'
export type { SensitivityOptions } from './sensitivity.ts'
export type { Form, Provider, TargetName } from './targets/index.ts'

// What works on whole models is loaded when it is first called: opening and saving a file needs little of it.

/** Observes a model on data and writes what was seen as a table. Options: `CalibrateOptions`. */
export const calibrate: typeof import('./calibrate.ts').calibrate = async (...given) =>
  (await import('./calibrate.ts')).calibrate(...given)
/** Says whether models still become what a lock file says they became, or records it. Options: `CheckOptions`. */
export const check: typeof import('./check/index.ts').check = async (...given) =>
  (await import('./check/index.ts')).check(...given)
/** Runs two models on the same data and says how near they are, and which operator moves away. Options: `CompareOptions`. */
export const compare: typeof import('./compare.ts').compare = async (...given) =>
  (await import('./compare.ts')).compare(...given)

/** Says node by node what is different between two models, weights included; neither is run. */
export const diff: typeof import('./diff.ts').diff = async (...given) => (await import('./diff.ts')).diff(...given)

/** Rewrites every attention softmax of a model to Softmax1 and writes the result. Options: `ConvertOptions`. */
export const convert: typeof import('./convert.ts').convert = async (...given) =>
  (await import('./convert.ts')).convert(...given)

/** Says for every softmax of a model what it is, and why; writes nothing. Options: `ExplainOptions`. */
export const explain: typeof import('./explain.ts').explain = async (...given) =>
  (await import('./explain.ts')).explain(...given)

/** Says what is in a model file. */
export const inspect: typeof import('./inspect.ts').inspect = async (...given) =>
  (await import('./inspect.ts')).inspect(...given)

/** Makes one calibration table of the parts that several runs of `calibrate` wrote. Options: `MergeOptions`. */
export const mergeCalibrations: typeof import('./calibrate.ts').mergeCalibrations = async (...given) =>
  (await import('./calibrate.ts')).mergeCalibrations(...given)

/** Opens samples for a model, as every function here that takes `data` does, and checks that they fit. Options: `DataOptions`. */
export const openData: typeof import('./open-data.ts').openData = async (...given) =>
  (await import('./open-data.ts')).openData(...given)

/** Makes an INT8 model of a float one and compares both on data that was kept back. Options: `QuantizeOptions`. */
export const quantize: typeof import('./quantize.ts').quantize = async (...given) =>
  (await import('./quantize.ts')).quantize(...given)

/** Quantizes each weight product alone and says what that does to the outputs. Options: `SensitivityOptions`. */
export const sensitivity: typeof import('./sensitivity.ts').sensitivity = async (...given) =>
  (await import('./sensitivity.ts')).sensitivity(...given)

/** Puts what is known of a model on one page: of models, tables and documents of `--json`. Options: `ReportOptions`. */
export const report: typeof import('./report.ts').report = async (...given) =>
  (await import('./report.ts')).report(...given)
