/** The second step of a conversion: the converted model is quantized, and compared with what it was converted from. */
import { withFile } from './calibrate/index.ts'
import { compareModels } from './compare/index.ts'
import { openData } from './data/index.ts'
import { conversionUnlike } from './errors.ts'
import { split } from './held-out.ts'
import type { Model } from './ir/index.ts'
import type { ConvertOptions, Phase } from './options.ts'
import { leastCosine, lowersLast } from './quantization-options.ts'
import type { QuantizeOptions, QuantizePhase } from './quantize.ts'
import { planQuantization, quantizeModel } from './quantize.ts'
import { ConversionRefused, QuantizationRefused } from './refused.ts'
import type { QuantizationDocument, ReportDocument } from './report/index.ts'
import { compareVersions } from './targets/index.ts'

interface ConvertedModel {
  /** Quantized in place. */
  readonly model: Model
  /** What it was converted from; `undefined` when that is in memory only, then the result is compared with the conversion. */
  readonly original: string | Uint8Array | undefined
  readonly output: string
  /** Tries the converted model, in a temporary file, before it is quantized. */
  readonly accept: (converted: string) => Promise<void>
  /** Adds what came of the trial to a report. */
  readonly complete: (document: ReportDocument) => ReportDocument
}

/**
 * Quantizes a converted model and writes it: one file, and one report with the field `quantization`.
 *
 * Throws {@link ConversionRefused} when nothing can be quantized, or when the result does not resemble the original.
 */
export function quantizeConverted(
  { model, original, output, accept, complete }: ConvertedModel,
  document: ReportDocument,
  options: ConvertOptions,
): Promise<ReportDocument> {
  return withFile(model, async (file) => {
    await accept(file)
    const converted = complete(document)
    await refuseUnlike({ model, original, file }, converted, options)
    try {
      const made = await quantizeModel({ model, file, original: original ?? file, output }, settingsOf(options))
      return joined(converted, made)
    } catch (error) {
      if (error instanceof QuantizationRefused) throw new ConversionRefused(error, joined(converted, error.document))
      throw error
    }
  })
}

/**
 * What a conversion changes is not to be blamed on rounding: samples kept back are run through both models before anything
 * is quantized. Throws {@link ConversionRefused}.
 */
async function refuseUnlike(
  { model, original, file }: Pick<ConvertedModel, 'model' | 'original'> & { readonly file: string },
  converted: ReportDocument,
  options: ConvertOptions,
): Promise<void> {
  const { data, dataOptions = {}, signal } = options
  if (original === undefined || (data === undefined && !dataOptions.synthetic)) return
  const { minCosine = leastCosine } = settingsOf(options)
  const { heldOut } = split(await openData(data, model, { ...dataOptions, signal }))
  const { all } = await compareModels(original, file, heldOut.samples(), { signal })
  if (all !== undefined && all.cosine.mean < minCosine)
    throw new ConversionRefused(conversionUnlike(all.cosine.mean, minCosine), converted)
}

/** The report of a converted model with what would be quantized of it; the model stays as it is. */
export async function planConverted(
  model: Model,
  document: ReportDocument,
  options: ConvertOptions,
): Promise<ReportDocument> {
  return joined(document, await planQuantization(model, settingsOf(options)))
}

/** What `quantize` is asked for by the options of a conversion. A table is of the model before it: it gave the sinks. */
function settingsOf(options: ConvertOptions): QuantizeOptions {
  const { quantize, data, dataOptions, target, targetVersion, provider, optimize, onProgress } = options
  const { externalData, overwrite, hash, signal, observations, precision } = options
  return {
    ...(typeof quantize === 'string' ? { recipe: quantize } : quantize),
    ...dataOptions,
    ...{ data, target, targetVersion, provider, optimize, externalData, overwrite, hash, signal, observations },
    ...(lowersLast(options) && { precision }),
    onProgress: (phase, done, total) => onProgress?.(phases[phase], done, total),
  }
}

const phases: Readonly<Record<QuantizePhase, Phase>> = {
  calibrating: 'observe',
  'trying recipes': 'measure',
  'ranking products': 'measure',
  measuring: 'measure',
  writing: 'write',
  comparing: 'compare',
}

type Quantized = Pick<QuantizationDocument, 'quantization' | 'requires' | 'files' | 'passes' | 'warnings'> &
  Partial<Pick<QuantizationDocument, 'operators' | 'observed'>>

function joined(
  document: ReportDocument,
  { quantization, requires, files, passes, warnings, operators, observed }: Quantized,
): ReportDocument {
  return {
    ...document,
    ...{ quantization, files, requires: bothOf(document.requires, requires) },
    ...(operators && document.operators && { operators: { ...operators, before: document.operators.before } }),
    ...(observed && !document.observed && { observed }),
    passes: [...document.passes, ...passes],
    warnings: [...document.warnings, ...warnings],
  }
}

/** What both steps need: the newer runtime, and the provider of the conversion. */
function bothOf(a: ReportDocument['requires'], b: QuantizationDocument['requires']): ReportDocument['requires'] {
  if (b.runtime === null || (a.runtime !== null && compareVersions(a.runtime, b.runtime) >= 0)) return a
  // A reason of the conversion's runtime comes first, before that of its provider.
  return { ...a, runtime: b.runtime, reasons: [...b.reasons, ...a.reasons.slice(a.runtime === null ? 0 : 1)] }
}
