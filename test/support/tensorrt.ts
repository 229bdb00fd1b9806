import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { pythonWith, runPython } from './python.ts'

/** The folder of TensorRT's C++ headers that `TENSORRT_ROOT` names; `undefined`, with the reason printed once, where there is none. */
export function tensorrtHeaders(): string | undefined {
  const folder = process.env.TENSORRT_ROOT
  if (folder === undefined) {
    console.log('skipped: TENSORRT_ROOT names no folder with the headers of TensorRT')
    return undefined
  }
  const found = [folder, join(folder, 'include')].find((candidate) => existsSync(join(candidate, 'NvInferRuntime.h')))
  if (found === undefined) console.log(`skipped: there is no NvInferRuntime.h in ${folder}`)
  return found
}

/** TensorRT's lean runtime, which loads plugins without a GPU: the Python that has it, and its library. */
export interface LeanRuntime {
  readonly python: string
  readonly library: string
}

export function leanRuntime(): LeanRuntime | undefined {
  const python = pythonWith('tensorrt_lean_bindings', 'tensorrt_lean_libs', 'numpy')
  if (python === undefined) return undefined
  const program =
    'import glob, json, os, tensorrt_lean_libs as m; print(json.dumps(glob.glob(os.path.dirname(m.__file__) + "/libnvinfer_lean.so*")[0]))'
  return { python, library: runPython(python, program, null) as string }
}

/** A model for TensorRT-RTX to build: the sizes of dynamic axes are those of the profile. */
export interface EngineRequest {
  readonly bytes: Uint8Array
  readonly sizes?: readonly [number, number, number]
  readonly capability?: Capability
}

/** Only the second one has float8. */
export type Capability = 'SM80' | 'SM89'

/** What TensorRT-RTX made of a model. */
export interface BuiltEngine {
  readonly parsed: boolean
  readonly built?: boolean
  readonly why?: string
  /** Nodes that are in a fused attention kernel. */
  readonly nodes?: readonly string[]
  /** Different fused attention kernels that the engine names. */
  readonly fused?: number
  /** How often it names one: three times for each attention that is fused. */
  readonly mentions?: number
}

/** Builds models in one process of Python, which does not keep the one that runs the tests from answering. */
export async function buildEngines(
  python: string,
  requests: readonly EngineRequest[],
  capability: Capability = 'SM80',
): Promise<BuiltEngine[]> {
  const folder = mkdtempSync(join(tmpdir(), 'outeffhop-engines-'))
  try {
    const input = requests.map(({ bytes, ...request }, i) => {
      const path = join(folder, `${i}.onnx`)
      writeFileSync(path, bytes)
      return { path, ...request }
    })
    const child = spawn(python, [join(import.meta.dirname, 'build-engines.py'), capability])
    child.stdin.end(JSON.stringify(input))
    const ended = once(child, 'close')
    const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
    const [code, signal] = await ended
    if (code !== 0) throw new Error(`the builder ended with ${code ?? signal}: ${errors}`)
    return JSON.parse(out.trim().split('\n').at(-1) as string)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
