/** The second step of a conversion: the converted model is quantized, and compared with what it was converted from. */
import { withFile } from './calibrate/index.ts'
import type { Model } from './ir/index.ts'
import type { ConvertOptions, Phase } from './options.ts'
import type { QuantizeOptions, QuantizePhase } from './quantize.ts'
import { quantizeModel } from './quantize.ts'
import { ConversionRefused, QuantizationRefused } from './refused.ts'
import type { QuantizationDocument, ReportDocument } from './report/index.ts'

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
    try {
      const made = await quantizeModel({ model, file, original: original ?? file, output }, settingsOf(options))
      return joined(converted, made)
    } catch (error) {
      if (error instanceof QuantizationRefused) throw new ConversionRefused(error, joined(converted, error.document))
      throw error
    }
  })
}

/** What `quantize` is asked for by the options of a conversion. A table is of the model before it: it gave the sinks. */
function settingsOf(options: ConvertOptions): QuantizeOptions {
  const { quantize, data, dataOptions, target, targetVersion, provider, optimize, onProgress } = options
  const { externalData, overwrite, hash, signal, observations } = options
  return {
    ...(typeof quantize === 'string' ? { recipe: quantize } : quantize),
    ...dataOptions,
    ...{ data, target, targetVersion, provider, optimize, externalData, overwrite, hash, signal, observations },
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

function joined(
  document: ReportDocument,
  { quantization, files, passes, warnings, operators, observed }: QuantizationDocument,
): ReportDocument {
  return {
    ...document,
    ...{ quantization, files },
    ...(operators && document.operators && { operators: { ...operators, before: document.operators.before } }),
    ...(observed && !document.observed && { observed }),
    passes: [...document.passes, ...passes],
    warnings: [...document.warnings, ...warnings],
  }
}
