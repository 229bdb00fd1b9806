/**
 * Accuracy of `quantize` without any option against every static recipe of ONNX Runtime's Python tools, on the models of
 * `peers.json`: the same calibration data, and other data to judge by.
 *
 * Needs PYTHON with onnx, onnxruntime, tokenizers and pillow, and OUTEFFHOP_MODELS as `test/support/fetch-models.js` fills it.
 * `node … peers.js NAME…` takes some of the models only, and BENCH_RECIPES some of the recipes: those that match it.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { ResultRow } from './measure.ts'
import { record } from './measure.ts'

interface PeerCase {
  readonly name: string
  readonly kind: 'text' | 'photos' | 'lines'
  readonly calibration: number
  readonly judged: number
}

/** How far a model is from the one it was made of; `mean` and `worst` are of the metric that `peers.json` names. */
interface Verdict {
  readonly mean: number
  readonly worst: number
  readonly sqnrDb: number
  readonly size: number
  readonly sameStrings?: number
}

const program = process.env.PYTHON ?? 'python3'
const models = resolve(process.env.OUTEFFHOP_MODELS ?? 'models')
const list = JSON.parse(readFileSync('test/bench/peers.json', 'utf8')) as { readonly models: readonly PeerCase[] }
const wanted = process.argv.slice(2)
const some = new RegExp(process.env.BENCH_RECIPES ?? '')
const folder = mkdtempSync(join(tmpdir(), 'outeffhop-peers-'))

try {
  for (const each of list.models)
    if (wanted.length === 0 || wanted.includes(each.name))
      if (existsSync(join(models, each.name, 'model.onnx'))) compareCase(each)
      else console.log(`skipped: ${each.name} is not in ${models}`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function compareCase({ name, kind, calibration, judged }: PeerCase): void {
  const model = join(models, name, 'model.onnx')
  const output = join(folder, 'quantized.onnx')
  const data = join(folder, 'calibration.npz')
  const judge = (subject: string): Verdict => {
    const verdict = JSON.parse(python('judge', kind, model, output, join(folder, 'judged.npz'))) as Verdict
    record(rowsOf(name, subject, judged, verdict))
    return verdict
  }
  python('data', kind, models, name, `${calibration}`, `${judged}`, folder)
  run('node', 'bin/outeffhop-convert.js', 'quantize', model, '--data', data, '-o', output, '--overwrite', '--quiet')
  const ours = judge('quantize')
  const recipes = (JSON.parse(python('recipes', model)) as string[]).filter((recipe) => some.test(recipe))
  const peers = recipes.flatMap((recipe) => {
    rmSync(output, { force: true })
    try {
      python('quantize', model, data, output, recipe)
      return [judge(`quantize_static ${recipe}`)]
    } catch (error) {
      console.log(`${name}: quantize_static ${recipe} fails: ${(error as Error).message}`)
      return []
    }
  })
  const best = Math.min(...peers.map(({ mean }) => mean))
  console.log(
    `${name}: ours ${ours.mean.toExponential(2)}, the best of ${peers.length} recipes ${best.toExponential(2)}`,
  )
}

/** Losses in thousandths: the file has three decimals. */
function rowsOf(name: string, subject: string, runs: number, verdict: Verdict): ResultRow[] {
  const { mean, worst, sqnrDb, size, sameStrings } = verdict
  const values = { 'loss mean x 1000': 1000 * mean, 'loss worst x 1000': 1000 * worst, 'SQNR dB': sqnrDb, size }
  const all = sameStrings === undefined ? values : { ...values, 'strings kept': sameStrings }
  return Object.entries(all).map(([metric, value]) => ({
    ...{ bench: 'peers', case: name, subject, peer: 'the float model' },
    ...{ metric, value, runs },
  }))
}

function python(...args: string[]): string {
  return run(program, 'test/bench/peers.py', ...args)
}

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (status !== 0) throw error ?? new Error(stderr.trim().split('\n').at(-1) || `${command} ended with ${status}`)
  return stdout
}
