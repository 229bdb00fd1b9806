/**
 * Peak memory of quantizing a model with external data over 2 GiB, over what loading and running it takes: the resident
 * bytes of all processes of a command, added up while it runs. Needs Linux, where /proc tells them.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closeModel, openModel, saveModel } from '../../src/onnx/index.ts'
import { writeSynthetic } from '../support/synthetic.ts'
import type { ResultRow } from './measure.ts'
import { peakOfTree, record } from './measure.ts'

const folder = mkdtempSync(join(process.env.BENCH_FOLDER ?? tmpdir(), 'outeffhop-bench-'))
const layers = Number(process.env.BENCH_LAYERS ?? 11)
const cli = 'bin/outeffhop-convert.js'
const synthetic = ['--synthetic', '--samples', '8']

const commands: readonly (readonly [subject: string, args: readonly string[]])[] = [
  ['static int8', ['quantize', '--recipe', 'int8', ...synthetic]],
  ['int8-dynamic', ['quantize', '--recipe', 'int8-dynamic', ...synthetic]],
  ['weights-int8', ['quantize', '--recipe', 'weights-int8', ...synthetic]],
  ['weights-int8 without data', ['quantize', '--recipe', 'weights-int8']],
  ['convert to static int8', ['convert', '--quantize', 'int8', '--accept-drift', ...synthetic]],
]

try {
  if (existsSync('/proc/self/smaps_rollup')) await measureAll()
  else console.log('skipped: there is no /proc to read resident bytes from')
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function measureAll(): Promise<void> {
  const model = await largeModel()
  const plain = await peakOfTree('node', ['.cache/bench/test/bench/calibrate-once.js', 'plain', model, '8', '16'])
  const row = (subject: string, peer: string, metric: string, value: number): ResultRow => ({
    ...{ bench: 'memory', case: `${layers} layers of 2048`, subject, peer, metric, value, runs: 1 },
  })
  record([row('load and run', '', 'peak RSS MB', plain)])
  const out = join(folder, 'out')
  mkdirSync(out)
  for (const [subject, args] of commands) {
    const output = join(out, 'model.onnx')
    const [command, ...flags] = args as [string, ...string[]]
    const peak = await peakOfTree('node', [cli, command, model, '-o', output, '--overwrite', '--quiet', ...flags])
    record([row(subject, '', 'peak RSS MB', peak), row(subject, 'load and run', 'peak RSS MB beyond', peak - plain)])
  }
}

/** More than 2 GiB of weights in a file of their own. */
async function largeModel(): Promise<string> {
  const [inline, path] = [join(folder, 'inline.onnx'), join(folder, 'model.onnx')]
  await writeSynthetic(inline, { layers, width: 2048, heads: 16 })
  const model = openModel(inline)
  try {
    await saveModel(model, path, { externalData: 'always' })
  } finally {
    closeModel(model)
  }
  rmSync(inline)
  return path
}
