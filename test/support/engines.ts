import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { root } from './built.ts'

/** What TensorRT-RTX made of a model. */
export interface Engine {
  readonly parsed: boolean
  readonly built?: boolean
  /** Different fused attention kernels that the engine names. */
  readonly fused?: number
  /** How often it names one: three times for each attention that is fused. */
  readonly mentions?: number
  readonly why?: string
}

/** Builds models with the Python package of TensorRT-RTX, for chips that have float8 by default. */
export function buildEngines(python: string, models: readonly Uint8Array[], capability = 'SM89'): Engine[] {
  const folder = mkdtempSync(join(tmpdir(), 'outeffhop-engines-'))
  try {
    const paths = models.map((bytes, i) => {
      const path = join(folder, `${i}.onnx`)
      writeFileSync(path, bytes)
      return path
    })
    const program = join(root, 'test/support/build-engines.py')
    const input = JSON.stringify(paths)
    const { status, stdout, stderr } = spawnSync(python, [program, capability], { input, encoding: 'utf8' })
    if (status !== 0) throw new Error(stderr)
    return JSON.parse(stdout.trim().split('\n').at(-1) as string)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
