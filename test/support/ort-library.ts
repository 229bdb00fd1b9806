import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Model } from '../../src/ir/index.ts'
import { modelToBytes, openModel } from '../../src/onnx/index.ts'
import type { Dense } from './attention-reference.ts'
import { dense } from './attention-reference.ts'
import { root } from './built.ts'
import { kernels, must } from './kernels.ts'
import { runPython } from './python.ts'

/**
 * The folder of onnxruntime_c_api.h: `ONNXRUNTIME_INCLUDE`, or where a distribution's libonnxruntime-dev puts it; `undefined`,
 * with the reason printed once, where it is nowhere.
 */
export function ortHeaders(): string | undefined {
  const folders = [process.env.ONNXRUNTIME_INCLUDE ?? '', '/usr/include/onnxruntime', '/usr/local/include/onnxruntime']
  const found = folders.find((folder) => existsSync(join(folder, 'onnxruntime_c_api.h')))
  if (found === undefined) console.log('skipped: no onnxruntime_c_api.h; set ONNXRUNTIME_INCLUDE to its folder')
  return found
}

/** Node-API's headers, a dev dependency. */
export const nodeHeaders = join(root, 'node_modules/node-api-headers/include')

/** Interpreters with an onnxruntime of their own, the newest one and an old one, by version; empty where none is. */
export function runtimes(): [version: string, python: string][] {
  const named = [process.env.PYTHON ?? 'python3', process.env.PYTHON_OLD_ONNXRUNTIME ?? '']
  const found = named.flatMap((python): [string, string][] => {
    const probe = python === '' ? undefined : spawnSync(python, ['-c', 'import onnxruntime as o; print(o.__version__)'])
    return probe?.status === 0 ? [[probe.stdout.toString().trim(), python]] : []
  })
  if (found.length === 0) console.log('skipped: no Python with onnxruntime; set PYTHON to an interpreter that has it')
  else if (found.length === 1) console.log('not run on a second version: set PYTHON_OLD_ONNXRUNTIME to an interpreter')
  return found
}

/** Builds what `options` of the CMake project say into `target`. */
export async function buildKernels(target: string, ...options: string[]): Promise<string> {
  await must('cmake', ['-S', kernels, '-B', target, ...options.map((option) => `-D${option}`)])
  await must('cmake', ['--build', target, '--parallel', '2'])
  return target
}

/** A model with what it is fed; all inputs and the output are float32. */
export interface Job {
  readonly model: Model
  readonly feeds: Readonly<Record<string, Dense>>
}

export interface Answer {
  /** The first output, or why there is none. */
  readonly output?: Dense
  readonly error?: string
  /** The operators of our domain that are left once the runtime has optimised the model: not those whose body it took. */
  readonly operators: readonly string[]
}

/** Runs each model in a session of its own, with the library where one is given. */
export function runInPython(python: string, jobs: readonly Job[], library?: string, threads = 1): Answer[] {
  const written = jobs.map(({ model, feeds }) => ({
    model: Buffer.from(modelToBytes(model)).toString('base64'),
    feeds: Object.fromEntries(
      Object.entries(feeds).map(([name, { dims, data }]) => [name, { dims, data: base64(Float32Array.from(data)) }]),
    ),
  }))
  const answers = runPython(python, program, { jobs: written, library: library ?? null, threads }) as Raw[]
  return answers.map(({ error, dims = [], data = '', optimised }) => {
    const operators = ownOperators(Buffer.from(optimised, 'base64'))
    return error === undefined ? { output: dense(dims, floats(data)), operators } : { error, operators }
  })
}

/** The operators of our domain in a model. */
export function ownOperators(bytes: Uint8Array): string[] {
  if (bytes.length === 0) return []
  return [...openModel(bytes).graph.nodes()].filter(({ domain }) => domain === 'outeffhop').map(({ opType }) => opType)
}

interface Raw {
  readonly error?: string
  readonly dims?: number[]
  readonly data?: string
  readonly optimised: string
}

function base64(values: Float32Array): string {
  return Buffer.from(values.buffer).toString('base64')
}

function floats(text: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer)
}

const program = `
import base64, json, os, sys, tempfile
import numpy as np, onnxruntime as ort
given = json.load(sys.stdin)
array = lambda t: np.frombuffer(base64.b64decode(t['data']), np.float32).reshape(t['dims'])
text = lambda data: base64.b64encode(data).decode()
answers = []
with tempfile.TemporaryDirectory() as folder:
    for job in given['jobs']:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = given['threads']
        options.optimized_model_filepath = os.path.join(folder, 'optimised.onnx')
        if given['library']: options.register_custom_ops_library(given['library'])
        optimised = b''
        try:
            session = ort.InferenceSession(base64.b64decode(job['model']), options, providers=['CPUExecutionProvider'])
            optimised = open(options.optimized_model_filepath, 'rb').read()
            output = session.run(None, {name: array(t) for name, t in job['feeds'].items()})[0]
            answers.append({'dims': output.shape, 'data': text(output.tobytes()), 'optimised': text(optimised)})
        except Exception as error:
            answers.append({'error': str(error), 'optimised': text(optimised)})
print(json.dumps(answers))
`
