/** What each option of the library can be: callers in plain JavaScript have no types that would tell them. */
import type { CalibrateOptions, MergeOptions } from './calibrate.ts'
import type { OptionKind } from './check-options.ts'
import { oneOf, optionKinds } from './check-options.ts'
import type { CompareOptions } from './compare.ts'
import type { DataOptions } from './data/source.ts'
import { externalDataModes } from './onnx/index.ts'
import type { ConvertOptions, SiteOptions, TargetOptions } from './options.ts'
import type { QuantizationOptions, QuantizeOptions } from './quantization-options.ts'
import { stages } from './rewrite/index.ts'

const siteKinds: Readonly<Record<keyof SiteOptions, OptionKind>> = {
  only: optionKinds.names,
  except: optionKinds.names,
  force: optionKinds.names,
  include: optionKinds.texts,
}

const targetKinds: Readonly<Record<keyof TargetOptions, OptionKind>> = {
  target: optionKinds.text,
  targetVersion: optionKinds.text,
  provider: optionKinds.text,
}

/** What the options of `explain` can be. */
export const explainKinds = {
  ...siteKinds,
  ...targetKinds,
  hash: optionKinds.flag,
  calibration: optionKinds.text,
}

/** What the options of `check-target` can be. */
export const checkTargetKinds = { ...targetKinds, hash: optionKinds.flag }

/** What the options of `convert` can be. */
export const convertKinds: Readonly<Record<keyof ConvertOptions, OptionKind>> = {
  ...explainKinds,
  output: optionKinds.text,
  sink: {
    what: '"calibrated", "zero", a number or a function of the site',
    accepts: (value) => ['number', 'function'].includes(typeof value) || value === 'calibrated' || value === 'zero',
  },
  calibration: optionKinds.text,
  data: optionKinds.text,
  dataOptions: optionKinds.settings,
  maxChange: optionKinds.number,
  sinkQuantile: optionKinds.number,
  acceptDrift: optionKinds.flag,
  foldScale: optionKinds.flag,
  optimize: optionKinds.flag,
  quantize: {
    what: 'the name of a recipe, or an object of settings',
    accepts: (value) => typeof value === 'string' || optionKinds.settings.accepts(value),
  },
  opset: optionKinds.number,
  precision: optionKinds.text,
  form: optionKinds.text,
  externalData: oneOf(externalDataModes),
  overwrite: optionKinds.flag,
  dryRun: optionKinds.flag,
  verify: optionKinds.flag,
  allowNone: optionKinds.flag,
  requireAll: optionKinds.flag,
  stopAfter: oneOf(stages),
  dump: optionKinds.text,
  observations: optionKinds.flag,
  signal: optionKinds.signal,
  onProgress: optionKinds.work,
}

/** What the options of `openData` can be. */
export const dataKinds: Readonly<Record<keyof DataOptions, OptionKind>> = {
  samples: optionKinds.number,
  seed: optionKinds.number,
  shard: optionKinds.settings,
  onBadSample: oneOf(['skip', 'stop']),
  tokenizer: optionKinds.text,
  maxLength: optionKinds.number,
  textField: optionKinds.text,
  image: optionKinds.settings,
  synthetic: optionKinds.flag,
  signal: optionKinds.signal,
}

/** What the options of `calibrate` can be. */
export const calibrateKinds: Readonly<Record<keyof CalibrateOptions, OptionKind>> = {
  ...dataKinds,
  data: optionKinds.text,
  output: optionKinds.text,
  overwrite: optionKinds.flag,
  resume: optionKinds.flag,
  method: oneOf(['all', 'min-max', 'moving-average']),
  all: optionKinds.flag,
  moments: oneOf(['sequence', 'token', 'tensor']),
  observations: optionKinds.flag,
  onProgress: optionKinds.work,
}

/** What the options of `mergeCalibrations` can be. */
export const mergeKinds: Readonly<Record<keyof MergeOptions, OptionKind>> = {
  output: optionKinds.text,
  overwrite: optionKinds.flag,
  observations: optionKinds.flag,
}

/** What the settings of a quantization can be. */
export const quantizationKinds: Readonly<Record<keyof QuantizationOptions, OptionKind>> = {
  recipe: optionKinds.text,
  protocol: optionKinds.text,
  alpha: optionKinds.number,
  smooth: optionKinds.flag,
  symmetrize: optionKinds.flag,
  biasCorrection: optionKinds.flag,
  softmaxCorrection: optionKinds.flag,
  preDequantize: optionKinds.flag,
  range: {
    what: 'the name of a method, or { percentile }',
    accepts: (value) => typeof value === 'string' || optionKinds.settings.accepts(value),
  },
  reduceRange: optionKinds.flag,
  embeddings: optionKinds.flag,
  convolutions: optionKinds.flag,
  keepFloat: optionKinds.names,
  minCosine: optionKinds.number,
  maxDrop: optionKinds.number,
}

/** What the options of `quantize` can be. */
export const quantizeKinds: Readonly<Record<keyof QuantizeOptions, OptionKind>> = {
  ...dataKinds,
  ...targetKinds,
  ...quantizationKinds,
  data: optionKinds.text,
  calibration: optionKinds.text,
  precision: optionKinds.text,
  output: optionKinds.text,
  overwrite: optionKinds.flag,
  externalData: oneOf(externalDataModes),
  hash: optionKinds.flag,
  optimize: optionKinds.flag,
  observations: optionKinds.flag,
  onProgress: optionKinds.work,
}

/** What the options of `compare` can be. */
export const compareKinds: Readonly<Record<keyof CompareOptions, OptionKind>> = {
  ...dataKinds,
  data: optionKinds.text,
  layers: optionKinds.flag,
  bench: optionKinds.flag,
  tolerances: optionKinds.settings,
  top: optionKinds.number,
  outliers: optionKinds.flag,
  onProgress: optionKinds.work,
}
