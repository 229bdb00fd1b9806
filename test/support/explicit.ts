import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { passes } from '../../passes/index.ts'
import { Calibrated } from '../../src/calibrated.ts'
import type { Model } from '../../src/ir/index.ts'
import { closeModel, modelToBytes, openModel, saveModel } from '../../src/onnx/index.ts'
import { targetOf } from '../../src/options.ts'
import type { QuantizeOptions } from '../../src/quantization-options.ts'
import { settingsOf } from '../../src/quantization-options.ts'
import type { Quantization } from '../../src/quantize/index.ts'
import type { Precision, Report } from '../../src/rewrite/index.ts'
import { runPipeline } from '../../src/rewrite/index.ts'
import type { Feeds } from '../../src/runtime/index.ts'
import { inputsOfExport } from './exports.ts'
import { samplesOf } from './samples.ts'

const target = targetOf({ target: 'tensorrt' })

/** A model, and inputs that it is calibrated on. */
export interface Source {
  read(): Model
  readonly feeds: Feeds
}

export function exportAt(path: string): Source {
  return { read: () => openModel(path), feeds: inputsOfExport(path) }
}

/** A model that was quantized for a compiler of explicit Q/DQ. */
export interface Explicit {
  readonly model: Model
  readonly bytes: Uint8Array
  readonly quantization: Quantization
  readonly report: Report
}

/** Quantizes a model, converted before unless it is told not to be. */
export async function explicit(
  source: Source,
  recipe: 'int8' | 'fp8',
  precision: Precision | undefined,
  { convert = true, ...more }: { readonly convert?: boolean } & Partial<QuantizeOptions> = {},
): Promise<Explicit> {
  const folder = mkdtempSync(join(tmpdir(), 'outeffhop-explicit-'))
  try {
    const file = join(folder, 'model.onnx')
    const read = source.read()
    if (convert) runPipeline(read, passes, { target })
    await saveModel(read, file)
    closeModel(read)
    const options: QuantizeOptions = { target: 'tensorrt', recipe, precision, convolutions: true, ...more }
    const data = samplesOf([source.feeds])
    const model = openModel(file)
    const observing = { data, ranges: true, histograms: false, float8: recipe === 'fp8' }
    const calibrated = await Calibrated.of(file, model, observing, options)
    const quantization = await calibrated.quantize(settingsOf(options, recipe), data)
    calibrated.finish()
    return { model, bytes: modelToBytes(model), quantization, report: calibrated.report }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A model in half precision, as it was or converted, and not quantized. */
export function halved({ read }: Source, precision: Precision, convert: boolean): Uint8Array {
  const model = read()
  const chosen = convert ? passes : passes.filter(({ name }) => name === 'lower-precision')
  runPipeline(model, chosen, { target, precision })
  return modelToBytes(model)
}
