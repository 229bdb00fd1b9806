/**
 * Memory of comparing all tensors of two models with 200 layers on 100 samples, over that of a process that only runs both:
 * the most that the program and the process of the runtime have together. Linux only: it reads /proc.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { attr } from '../../src/ir/index.ts'
import { openModel, saveModel } from '../../src/onnx/index.ts'
import { writeSynthetic } from '../support/synthetic.ts'
import { record } from './measure.ts'

const once = '.cache/bench/test/bench/compare-once.js'
const [layers, samples, length] = [200, 100, 32]
const folder = mkdtempSync(join(tmpdir(), 'outeffhop-bench-'))

try {
  if (!existsSync('/proc/self/status')) console.log('skipped: the memory of a comparison: there is no /proc')
  else await measure()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function measure(): Promise<void> {
  const [first, second] = ['first', 'second'].map((name) => join(folder, `${name}.onnx`)) as [string, string]
  await writeSynthetic(first, { layers, width: 64, heads: 4 })
  const model = openModel(first)
  const norms = [...model.graph.nodes()].filter(({ op }) => op === 'LayerNormalization')
  norms[layers]?.setAttribute('epsilon', attr.float(1e-2))
  await saveModel(model, second)
  const peakOf = (mode: string) => peakOfTree('node', [once, mode, first, second, `${samples}`, `${length}`])
  const [plain, compared] = [await peakOf('plain'), await peakOf('layers')]
  record(
    [
      ['both models run', plain],
      ['all tensors compared', compared],
    ].map(([subject, value]) => ({
      ...{ bench: 'compare', case: `${layers} layers, ${samples} samples`, subject: subject as string, peer: '' },
      ...{ metric: 'peak RSS MB of all processes', value: value as number, runs: 1 },
    })),
  )
}

/** The largest sum of resident sets of a process and those it started, in MB. */
function peakOfTree(command: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
    let peak = 0
    const timer = setInterval(() => {
      peak = Math.max(peak, residentMb(child.pid as number))
    }, 50)
    child.on('exit', (code) => {
      clearInterval(timer)
      if (code === 0) resolve(peak)
      else reject(new Error(`${command} ${args.join(' ')} exited with ${code}`))
    })
  })
}

function residentMb(root: number): number {
  const processes = readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? processOf(name) : []))
  const tree = new Set([root])
  for (const pid of tree) for (const { id, parent } of processes) if (parent === pid) tree.add(id)
  return processes.reduce((sum, { id, kilobytes }) => sum + (tree.has(id) ? kilobytes : 0), 0) / 1024
}

/** Of a process that ended meanwhile, nothing. */
function processOf(pid: string): { id: number; parent: number; kilobytes: number }[] {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const field = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(status)?.[1] ?? 0)
    return [{ id: Number(pid), parent: field('PPid'), kilobytes: field('VmRSS') }]
  } catch {
    return []
  }
}
