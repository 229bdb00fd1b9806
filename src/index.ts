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
export type { ConvertResult, ModelInput } from './convert.ts'
export { convert } from './convert.ts'
export type { ExitKind, Place } from './errors.ts'
export { ConvertError, exitCodes } from './errors.ts'
export type { ExplainOptions } from './explain.ts'
export { explain } from './explain.ts'
export { inspect } from './inspect.ts'
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
export { QuantizationRefused, quantize } from './quantize.ts'
export { ConversionRefused } from './refused.ts'
export type {
  ChoiceEntry,
  Counts,
  FileEntry,
  Inspection,
  ModelEntry,
  ProductEntry,
  QuantizationDocument,
  QuantizationEntry,
  ReportDocument,
  SensitivityDocument,
  SiteEntry,
  Verification,
} from './report/index.ts'
export type { Stage, Warning } from './rewrite/index.ts'
export type { SensitivityOptions } from './sensitivity.ts'
export { sensitivity } from './sensitivity.ts'
export type { Form, Provider, TargetName } from './targets/index.ts'
