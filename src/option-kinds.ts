/** What each option of the library can be: callers in plain JavaScript have no types that would tell them. */
import type { OptionKind } from './onnx/index.ts'
import { externalDataModes, oneOf, optionKinds } from './onnx/index.ts'
import type { ConvertOptions, SiteOptions, TargetOptions } from './options.ts'
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
  optimize: optionKinds.flag,
  quantize: {
    what: 'the name of a recipe, or an object of settings',
    accepts: (value) => typeof value === 'string' || optionKinds.settings.accepts(value),
  },
  opset: optionKinds.number,
  form: optionKinds.text,
  externalData: oneOf(externalDataModes),
  overwrite: optionKinds.flag,
  dryRun: optionKinds.flag,
  verify: optionKinds.flag,
  allowNone: optionKinds.flag,
  requireAll: optionKinds.flag,
  stopAfter: oneOf(stages),
  dump: optionKinds.text,
  signal: optionKinds.signal,
  onProgress: optionKinds.work,
}
