/** The whole conversion on one screen: open, run the passes, check, write, try the result, report. */
import { passes } from '../passes/index.ts'
import { withBuild } from './build-entry.ts'
import { checkOptions } from './check-options.ts'
import { checkDump, checkOutput, defaultOutput, dumpInto, writeText } from './emit/index.ts'
import { brokenGraph, ConvertError, nothingToConvert, opsetTooOld, siteLeft, usage } from './errors.ts'
import { patternUnused } from './explain.ts'
import { isSorted, Model, verify } from './ir/index.ts'
import {
  checkModelFile,
  closeModel,
  modelToBytes,
  openModel,
  originalOf,
  requireExternalData,
  saveModel,
} from './onnx/index.ts'
import { convertKinds, quantizationKinds } from './option-kinds.ts'
import type { ConvertOptions } from './options.ts'
import { isNamed, policiesOf, switchesOf, targetOf, unmatched } from './options.ts'
import { checkRecipe, lowersLast } from './quantization-options.ts'
import { choicesOf, isRecipeName, recipeNames } from './quantize/candidates.ts'
import { isStatic } from './quantize/recipes.ts'
import { ConversionRefused } from './refused.ts'
import type { ReportDocument } from './report/index.ts'
import { countOperators, describeModel, describeRun, isAllSoftmax1, unconverted } from './report/index.ts'
import type { PipelineResult, Report } from './rewrite/index.ts'
import { runPipeline } from './rewrite/index.ts'
import { refuseDrift } from './sink-checks.ts'
import type { SinkPlan } from './sinks.ts'
import { measureChange, planSinks, withMeasured } from './sinks.ts'
import type { TargetChoice } from './targets/index.ts'
import { raisedFor } from './targets/index.ts'
import type { Candidate } from './verification.ts'

/** A model by its path, as the bytes of an ONNX file, or opened. */
export type ModelInput = string | Uint8Array | Model

export interface ConvertResult {
  /** What was found and done: the document that `--json` prints. */
  readonly document: ReportDocument
  /** The converted model, when it was given as bytes and no output file was asked for. */
  readonly bytes: Uint8Array | undefined
}

/**
 * Rewrites every attention softmax of a model to Softmax1, `exp(x_i) / (exp(sink) + Σ exp(x_j))`, and writes the result.
 *
 * A path is converted to a file beside it, bytes to bytes, an opened model in place (save it with `saveModel`, or name an
 * `output`). Where onnxruntime-node is installed, a file is loaded and run once before it takes its place.
 *
 * Throws a {@link ConvertError}; its subclass {@link ConversionRefused} when nothing could be converted (`allowNone` accepts
 * that) or when `requireAll` was given and attention is left.
 */
export async function convert(input: ModelInput, options: ConvertOptions = {}): Promise<ConvertResult> {
  checkOptions(options, convertKinds)
  checkQuantization(input, options)
  const choice = targetOf(options)
  if (typeof input === 'string') checkModelFile(input)
  const output = outputOf(input, options)
  if (options.dump !== undefined) checkDump(options.dump)
  const model = input instanceof Model ? input : openModel(input)
  try {
    if (model.opset < oldestOpset) throw opsetTooOld(model.opset, oldestOpset)
    if (output !== undefined) requireExternalData(model)
    const original = originalOf(model)
    // A version nobody asked for is at least the one the input model needs.
    const target = options.targetVersion === undefined ? raisedFor(model, choice) : choice
    const described = await describeModel(model, options)
    const before = options.observations ? countOperators(model) : undefined
    const sinks = await planSinks(model, options)
    const run = blamed(original, () => rewrite(model, target, sinks, options))
    warnAbout(run.report, choice, target, options)
    const facts = { model: described, target, sink: sinks.words, changeOf: sinks.changeOf, ...run }
    const document = await withOperators(sinks.describe(describeRun('convert', facts)), before, model)
    refuse(document, options)
    if (options.dryRun && options.quantize !== undefined)
      return { document: await planned(model, document, options), bytes: undefined }
    if (options.dryRun || output === undefined || isDone(document, model, options)) {
      const bytes = input instanceof Uint8Array && !options.dryRun ? modelToBytes(model) : undefined
      return { document: withBuild(document, model, target), bytes }
    }
    const written = await write({ model, original }, output, document, sinks, options)
    return { document: withBuild(written, model, target), bytes: undefined }
  } finally {
    if (model !== input) closeModel(model)
  }
}

/** The first opset whose arithmetic broadcasts as it does today. */
const oldestOpset = 7

/** Runs the passes over the model, in place. */
function rewrite(
  model: Model,
  target: TargetChoice,
  { sink, headScale }: SinkPlan,
  options: ConvertOptions,
): PipelineResult {
  const { stopAfter, onProgress } = options
  const form = formOf(options)
  const dumpText = options.dump === undefined ? undefined : dumpInto(options.dump)
  dumpText?.('input', model)
  onProgress?.('convert', 0, passes.length)
  const dump = (pass: string) => {
    dumpText?.(pass, model)
    onProgress?.('convert', passes.findIndex(({ name }) => name === pass) + 1, passes.length)
  }
  const policies = policiesOf(options)
  const run = runPipeline(model, passes, {
    target,
    policies,
    sink,
    headScale,
    form,
    stopAfter,
    dump,
    ...switchesOf(lowersLast(options) ? { ...options, precision: undefined } : options),
  })
  for (const pattern of unmatched(options, [...run.report.sites.values()])) {
    run.report.warn('pattern-unused', patternUnused(pattern))
  }
  return run
}

/** The protocol computes Softmax1 by its definition, so that its probabilities are a value with a quantizer of its own. */
function formOf({ form, quantize }: ConvertOptions): ConvertOptions['form'] {
  const isPublished = typeof quantize === 'object' && quantize.protocol !== undefined
  return form ?? (isPublished ? 'primitives' : undefined)
}

/** A fault in the middle of the work is the input's where the input has it, too. */
function blamed<T>(original: string | Uint8Array | undefined, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (original !== undefined && error instanceof ConvertError && error.kind === 'bug') checkGraphs(original)
    throw error
  }
}

/** Throws `broken-graph` for a model that no runtime could run. */
function checkGraphs(input: string | Uint8Array): void {
  const model = openModel(input)
  try {
    verify(model, isSorted(model))
  } catch (error) {
    if (!(error instanceof ConvertError)) throw error
    throw brokenGraph(
      error.message.replace('invariant broken', 'the model is not valid'),
      error.at.node ?? '',
      error.at,
    )
  } finally {
    closeModel(model)
  }
}

/** Throws `usage` where the result is to be quantized, and that cannot be done with what was given. */
function checkQuantization(
  input: ModelInput,
  { quantize, data, dataOptions, stopAfter, output, ...options }: ConvertOptions,
): void {
  if (quantize === undefined) return
  if (typeof quantize !== 'string') checkOptions(quantize, quantizationKinds)
  const recipe = typeof quantize === 'string' ? quantize : (quantize.recipe ?? 'int8')
  const named = isRecipeName(recipe)
  if (recipe !== 'auto' && !named && !recipe.endsWith('.onnx'))
    throw usage(`there is no recipe "${recipe}"`, `There are: auto, ${recipeNames.join(', ')}.`)
  if (named) checkRecipe(recipe, lowersLast({ ...options, quantize }) ? options : { target: options.target })
  if (stopAfter !== undefined) throw usage('a conversion that stops early cannot be quantized')
  if (output === undefined && typeof input !== 'string') throw usage('a quantized model is written to a file: name one')
  const observes = recipe === 'auto' || (named && isStatic(choicesOf(recipe).recipe))
  if (observes && data === undefined && !dataOptions?.synthetic)
    throw usage(
      'there is no data',
      'Quantization observes the converted model: give data with --data SOURCE, not a table.',
    )
}

/** The file to write: what was asked for, or `NAME.outeffhop.onnx` beside a model given by path. */
function outputOf(
  input: ModelInput,
  { output, overwrite = false, dryRun, stopAfter, quantize }: ConvertOptions,
): string | undefined {
  const from = typeof input === 'string' ? input : undefined
  const extension = endsEarly(stopAfter)
    ? '.txt'
    : quantize === undefined
      ? '.onnx'
      : isFloat8(quantize)
        ? '.fp8.onnx'
        : '.int8.onnx'
  const path = output ?? (from === undefined ? undefined : defaultOutput(from, extension))
  if (path !== undefined && !dryRun) checkOutput(path, from, overwrite)
  return path
}

function isFloat8(quantize: ConvertOptions['quantize']): boolean {
  return (typeof quantize === 'object' ? quantize.recipe : quantize) === 'fp8'
}

function endsEarly(stopAfter: ConvertOptions['stopAfter']): boolean {
  return stopAfter !== undefined && stopAfter !== 'lower'
}

/** The report with what a page says of operators and of where it was made. */
async function withOperators(
  document: ReportDocument,
  before: Readonly<Record<string, number>> | undefined,
  model: Model,
): Promise<ReportDocument> {
  if (before === undefined) return document
  const { surroundings } = await import('./surroundings.ts')
  return { ...document, operators: { before, after: countOperators(model) }, environment: surroundings() }
}

function refuse(document: ReportDocument, options: ConvertOptions): void {
  const { allowNone, requireAll, stopAfter } = options
  if (endsEarly(stopAfter)) return
  refuseDrift(document, options)
  const left = unconverted(document.sites)
  if (requireAll && left.length > 0) throw new ConversionRefused(siteLeft(left.map((site) => site.node)), document)
  const { converted, sites } = document.counts
  if (converted === 0 && !isAllSoftmax1(document) && !allowNone) {
    throw new ConversionRefused(nothingToConvert(sites), document)
  }
}

/** A model that is Softmax1 already and stayed as it was is written only where a file was asked for by name. */
function isDone(document: ReportDocument, model: Model, { output, quantize }: ConvertOptions): boolean {
  if (quantize !== undefined) return false
  return isAllSoftmax1(document) && !model.edited && output === undefined
}

/** Writes the result; where it can be tried, it takes its place only after ONNX Runtime accepted it. */
async function write(
  { model, original }: Pick<Candidate, 'model' | 'original'>,
  output: string,
  document: ReportDocument,
  sinks: SinkPlan,
  options: ConvertOptions,
): Promise<ReportDocument> {
  if (endsEarly(options.stopAfter)) return { ...document, files: [writeText(output, model)] }
  const { externalData, overwrite, hash, signal, onProgress } = options
  let complete = (written: ReportDocument): ReportDocument => written
  const accept = async (path: string) => {
    complete = await tried({ model, path, original, runtime: document.requires.runtime }, sinks, options)
  }
  if (options.quantize !== undefined) {
    const { quantizeConverted } = await import('./convert-quantized.ts')
    return quantizeConverted({ model, original, output, accept, complete: (made) => complete(made) }, document, options)
  }
  const progress = (done: number, total: number) => onProgress?.('write', done, total)
  const files = await saveModel(model, output, { externalData, overwrite, hash, signal, accept, onProgress: progress })
  return complete({ ...document, files })
}

/** The report with what would be quantized. */
async function planned(model: Model, document: ReportDocument, options: ConvertOptions): Promise<ReportDocument> {
  const { planConverted } = await import('./convert-quantized.ts')
  return planConverted(model, document, options)
}

/** What a trial of the converted model adds to the report. Throws where it cannot run. */
async function tried(candidate: Candidate, sinks: SinkPlan, options: ConvertOptions) {
  if (options.verify === false) return (document: ReportDocument) => document
  const { signal, onProgress } = options
  onProgress?.('verify', 0, 1)
  const { verifyConverted, withVerification } = await import('./verification.ts')
  const verification = await verifyConverted(candidate, signal)
  const { original, path } = candidate
  const measured = verification.loaded ? await measureChange(original, path, sinks, options) : null
  return (document: ReportDocument) => withMeasured(withVerification(document, verification), measured)
}

/** Says where a wish could not be met. */
function warnAbout(report: Report, asked: TargetChoice, target: TargetChoice, options: ConvertOptions): void {
  const { form, sink, force } = options
  for (const site of report.sites.values()) {
    const at = { node: site.node, graph: site.graph }
    if (typeof sink === 'number' && site.verdict === 'already-softmax1' && site.sink !== sink)
      report.warn('sink-not-used', `"${site.node}" is Softmax1 already and keeps the sink it has`, at)
    if (!site.converted && site.verdict !== 'already-softmax1' && isNamed(force, site.node))
      report.warn('force-without-effect', `naming it does not convert it: ${site.message}`, at)
  }
  if (target.version !== asked.version)
    report.warn(
      'target-raised',
      `the model itself needs ${target.target.name} ${target.version}, and so does the result`,
    )
  if (form === undefined) return
  for (const site of report.sites.values()) {
    if (!site.converted || site.form === null || site.form === form) continue
    const why = site.rejectedForms.find((rejected) => rejected.form === form)?.reason
    const message = `the form "${form}" was not taken${why === undefined ? '' : `: it ${why}`}`
    report.warn('form-not-used', message, { node: site.node, graph: site.graph })
  }
}
