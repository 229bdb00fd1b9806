/**
 * Wall time and peak memory of whole processes on models of several sizes, on a memory file system, as ratios to a bare copy
 * of the same file in the same run, less the start of Node. Commands alternate; the ratio is of medians.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Synthetic } from '../support/synthetic.ts'
import { writeSynthetic } from '../support/synthetic.ts'
import type { ProcessCost, ResultRow } from './measure.ts'
import { median, record, runProcess } from './measure.ts'

const cli = 'bin/outeffhop-convert.js'
const rounds = Number(process.env.BENCH_ROUNDS ?? 7)
const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'outeffhop-bench-'))

const MB = 1 << 20
const cases: readonly (readonly [name: string, size: Synthetic])[] = [
  ['420 MB', { layers: 8, width: 1024, heads: 16, extra: { count: 4, bytes: 4 * MB } }],
  ['2.5 GB', { layers: 12, width: 2048, heads: 16, extra: { count: 20, bytes: 4 * MB } }],
  ['50 000 nodes in 90 MB', { layers: 2173, width: 32, heads: 4, inner: 32, extra: { count: 6950, bytes: 4096 } }],
]

try {
  for (const [name, size] of cases) await measureCase(name, size)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function measureCase(name: string, size: Synthetic): Promise<void> {
  const model = join(folder, 'model.onnx')
  const output = join(folder, 'out.onnx')
  await writeSynthetic(model, size)
  const convert = [cli, model, '-o', output, '--overwrite', '--no-verify', '--quiet']
  const commands: Record<string, readonly [string, readonly string[]]> = {
    node: ['node', ['-e', '0']],
    copy: ['node', ['test/bench/copy.mjs', model, output]],
    cp: ['cp', [model, output]],
    'no-op': ['node', ['test/bench/resave.mjs', model, output]],
    convert: ['node', convert],
    'convert with linked weights': ['node', [...convert, '--external-data', 'link']],
    explain: ['node', [cli, 'explain', model, '--quiet']],
  }
  const costs = new Map<string, ProcessCost[]>(Object.keys(commands).map((key) => [key, []]))
  for (let round = 0; round <= rounds; round++) {
    for (const [key, [command, args]] of Object.entries(commands)) {
      rmSync(output, { force: true })
      const cost = runProcess(command, args)
      // The first round warms the page cache.
      if (round > 0) costs.get(key)?.push(cost)
    }
  }
  const seconds = (key: string): number => median((costs.get(key) ?? []).map((cost) => cost.seconds))
  const start = seconds('node')
  const row = (subject: string, peer: string, metric: string, value: number): ResultRow => ({
    bench: 'files',
    case: name,
    subject,
    peer,
    metric,
    value,
    runs: rounds,
  })
  const rows = ['no-op', 'convert', 'cp'].map((key) =>
    row(
      key,
      'copy through 1 MB',
      'time ratio',
      (seconds(key) - (key === 'cp' ? 0 : start)) / (seconds('copy') - start),
    ),
  )
  for (const key of ['convert with linked weights', 'explain']) rows.push(row(key, '', 'seconds', seconds(key)))
  for (const key of ['no-op', 'convert', 'convert with linked weights', 'explain'])
    rows.push(row(key, '', 'peak RSS MB', Math.max(...(costs.get(key) ?? []).map((cost) => cost.peakMb))))
  record(rows)
}
