import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readTable } from '../src/calibrate/index.ts'
import { calibrate } from '../src/calibrate.ts'
import { Tensor } from '../src/ir/index.ts'
import { modelToBytes, parseModel } from '../src/onnx/index.ts'
import type { Range, RangeMethod } from '../src/quantize/index.ts'
import { installedRuntime } from '../src/runtime/index.ts'
import { pythonWith, runPython } from './support/python.ts'
import { random } from './support/random.ts'

const python = pythonWith('numpy', 'onnx', 'onnxruntime.quantization.calibrate')
const canRun = python !== undefined && installedRuntime() !== undefined
if (python !== undefined && !canRun) console.log('skipped: calibration in ONNX Runtime, which is not installed')

const size = 16
const rows = 64
const count = 24

/** Every calibrator of ONNX Runtime's Python tools on the model, as its quantize_static makes them. */
const program = `
import contextlib, io, json, os, sys, tempfile
import numpy as np
from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod, create_calibrator
given = json.load(sys.stdin)
class Reader(CalibrationDataReader):
    def __init__(self):
        self.rows = iter([{'x': np.array(s, dtype=np.float32)} for s in given['samples']])
    def get_next(self):
        return next(self.rows, None)
found = {}
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    for method, extra in given['methods']:
        made = create_calibrator(given['model'], ['MatMul', 'Relu'], os.path.join(folder, method + '.onnx'),
                                 getattr(CalibrationMethod, method), extra_options=extra)
        made.collect_data(Reader())
        found[method] = {k: [float(np.ravel(e)[0]) for e in v.range_value] for k, v in made.compute_data().data.items()}
print(json.dumps(found))
`

let folder = ''
const ours = new Map<string, (method: RangeMethod) => Range>()
let theirs: Record<'MinMax' | 'Percentile' | 'Entropy', Record<string, readonly [number, number]>>

function rangeOf(name: string, method: RangeMethod): Range {
  const rangeBy = ours.get(name)
  if (!rangeBy) throw new Error(`"${name}" was not observed`)
  return rangeBy(method)
}

describe.skipIf(!canRun)("ranges of the same values on the same data by ONNX Runtime's calibrators", () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'outeffhop-peer-calibrators-'))
    const [model, data, output] = ['model.onnx', 'data.jsonl', 'table.json'].map((name) => join(folder, name)) as [
      ...[string, string, string],
    ]
    const next = random(11)
    const gauss = () => Array.from({ length: 12 }, () => next()).reduce((a, b) => a + b, -6)
    const text = `<ir_version: 8, opset_import: ["" : 17]>
      g (float[1,${rows},${size}] x) => (float[1,${rows},${size}] z) <float[${size},${size}] v = ..., float[${size},${size}] w = ...>
      { y = MatMul (x, v)  r = Relu (y)  z = MatMul (r, w) }`
    const fill = ({ name, dtype, dims }: Pick<Tensor, 'name' | 'dtype' | 'dims'>) =>
      Tensor.of(dtype, dims, Array.from({ length: size * size }, gauss), name)
    writeFileSync(model, modelToBytes(parseModel(text, { fill })))
    // A few elements are far out.
    const number = () => Math.fround((next() < 0.001 ? 8 : 1) * gauss())
    const row = () => Array.from({ length: size }, number)
    const samples = Array.from({ length: count }, () => [Array.from({ length: rows }, row)])
    writeFileSync(data, samples.map((x) => JSON.stringify({ x })).join('\n'))
    await calibrate(model, { data, output })
    const table = readTable(output)
    for (const name of ['x', 'r']) {
      const { rangeBy } = table.statistics(name) ?? {}
      if (rangeBy) ours.set(name, rangeBy)
    }
    const methods = [
      ['MinMax', {}],
      ['Percentile', { num_bins: 4096, percentile: 99.9, symmetric: false }],
      ['Entropy', { num_bins: 1024, num_quantized_bins: 256 }],
    ]
    theirs = runPython(python as string, program, { model, samples, methods }) as typeof theirs
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it.each(['x', 'r'])('are those of min-max for %s, to a millionth', (name) => {
    const { min, max } = rangeOf(name, 'min-max')
    const [low, high] = theirs.MinMax[name] as readonly [number, number]
    // Theirs is of a graph with other kernels, which may add in another order.
    expect(Math.abs(min - low)).toBeLessThanOrEqual(1e-6 * Math.abs(low))
    expect(Math.abs(max - high)).toBeLessThanOrEqual(1e-6 * Math.abs(high))
  })

  it.each(['x', 'r'])('are those of a percentile for %s, up to a bin of theirs and one of ours', (name) => {
    const { min, max } = rangeOf(name, { percentile: 99.9 })
    const [low, high] = theirs.Percentile[name] as readonly [number, number]
    const extremes = rangeOf(name, 'min-max')
    const bin = (2 * Math.max(-extremes.min, extremes.max)) / 4096
    expect(Math.abs(min - low)).toBeLessThan(2 * bin)
    expect(Math.abs(max - high)).toBeLessThan(2 * bin)
    expect(max).toBeLessThan(0.9 * extremes.max)
  })

  // Theirs leaves what is left over of a division by levels out of the last level, so thresholds are not the same.
  it.each(['x', 'r'])('clip what is far out of %s by entropy, as theirs do, and hold nine of ten', (name) => {
    const [{ max }, { max: extreme }] = [rangeOf(name, 'entropy'), rangeOf(name, 'min-max')]
    expect(max).toBeLessThan(0.7 * extreme)
    expect(theirs.Entropy[name]?.[1]).toBeLessThan(0.7 * extreme)
    expect(max).toBeGreaterThan(rangeOf(name, { percentile: 90 }).max)
  })
})
