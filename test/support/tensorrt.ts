import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
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
  readonly capability?: 'SM80' | 'SM89'
}

export interface BuiltEngine {
  readonly parsed: boolean
  readonly built?: boolean
  readonly why?: string
  /** Nodes that are in a fused attention kernel. */
  readonly nodes?: readonly string[]
}

/** Builds models in one process of Python; files go to `folder`. */
export function buildEngines(python: string, folder: string, requests: readonly EngineRequest[]): BuiltEngine[] {
  const input = requests.map(({ bytes, ...request }, i) => {
    const path = join(folder, `${i}.onnx`)
    writeFileSync(path, bytes)
    return { path, ...request }
  })
  const run = spawnSync(python, [join(import.meta.dirname, 'build-engines.py')], {
    input: JSON.stringify(input),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (run.status !== 0) throw new Error(`the builder ended with ${run.status ?? run.signal}: ${run.stderr}`)
  return JSON.parse(run.stdout.trim().split('\n').at(-1) as string)
}
