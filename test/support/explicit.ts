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
import { inputsOfExport } from './exports.ts'
import { samplesOf } from './samples.ts'

/** A model that was quantized for a compiler of explicit Q/DQ. */
export interface Explicit {
  readonly model: Model
  readonly bytes: Uint8Array
  readonly quantization: Quantization
  readonly report: Report
}

/** Quantizes an export as it is, or converted before, calibrated on the inputs that were stored with it. */
export async function explicit(
  path: string,
  recipe: 'int8' | 'fp8',
  precision: Precision | undefined,
  settings: { readonly convert?: boolean } & Partial<QuantizeOptions> = {},
): Promise<Explicit> {
  const { convert = true, ...more } = settings
  const folder = mkdtempSync(join(tmpdir(), 'outeffhop-explicit-'))
  try {
    const file = join(folder, 'model.onnx')
    const source = openModel(path)
    if (convert) runPipeline(source, passes, { target: targetOf({ target: 'tensorrt' }) })
    await saveModel(source, file)
    closeModel(source)
    const options: QuantizeOptions = { target: 'tensorrt', recipe, precision, ...more }
    const data = samplesOf([inputsOfExport(path)])
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
