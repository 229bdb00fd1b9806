/**
 * Wall time of a whole `check` of a model that did not change, hashing included, as a user waits for it: a synthetic model of
 * 90 MB, and a published one of 90 MB with text where `OUTEFFHOP_MODELS` has it.
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeSynthetic } from '../support/synthetic.ts'
import { median, record, runProcess } from './measure.ts'

const cli = 'bin/outeffhop-convert.js'
const rounds = Number(process.env.BENCH_ROUNDS ?? 7)
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'outeffhop-bench-'))
const model = join(folder, 'model.onnx')
process.env.OUTEFFHOP_CACHE_DIR = join(folder, 'cache')

try {
  await writeSynthetic(model, { layers: 7, width: 512, heads: 8, extra: { count: 0, bytes: 4 } })
  measureCase('90 MB', ['--synthetic', '--samples', '4', '--max-length', '16'])
  const published = join(process.env.OUTEFFHOP_MODELS ?? '', 'minilm_l6')
  if (existsSync(join(published, 'model.onnx'))) {
    copyFileSync(join(published, 'model.onnx'), model)
    const texts = Array.from({ length: 32 }, (_, i) => `Sentence number ${i} of ${32 * i} words about apples.`)
    writeFileSync(join(folder, 'texts.txt'), `${texts.join('\n')}\n`)
    const tokenizer = ['--tokenizer', join(published, 'tokenizer.json')]
    measureCase('MiniLM-L6, 90 MB, 32 texts', ['--data', join(folder, 'texts.txt'), ...tokenizer])
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function measureCase(name: string, options: readonly string[]): void {
  const lock = join(folder, 'outeffhop.lock.json')
  const check = [cli, 'check', '--lock', lock, '--quiet']
  rmSync(lock, { force: true })
  const made = runProcess('node', [...check, model, '--update', '--accept-drift', ...options])
  const unchanged: number[] = []
  const start: number[] = []
  for (let round = 0; round <= rounds; round++) {
    const costs = [runProcess('node', check), runProcess('node', ['-e', '0'])]
    // The first round warms the page cache.
    if (round === 0) continue
    unchanged.push(costs[0]?.seconds ?? Number.NaN)
    start.push(costs[1]?.seconds ?? Number.NaN)
  }
  const row = { bench: 'check', case: name, peer: '', metric: 'seconds', runs: rounds }
  record([
    { ...row, subject: 'unchanged', value: median(unchanged) },
    { ...row, subject: 'node alone', value: median(start) },
    { ...row, subject: 'recorded', value: made.seconds, runs: 1 },
  ])
}
