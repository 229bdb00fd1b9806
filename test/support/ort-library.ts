import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Tensor } from 'onnxruntime-node'
import type { Model } from '../../src/ir/index.ts'
import { modelToBytes, openModel } from '../../src/onnx/index.ts'
import type { Dense } from './attention-reference.ts'
import { dense } from './attention-reference.ts'
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

/** A model, or the path of one, with what it is fed: numbers are float32, tensors are what they are. The output is float32. */
export interface Job {
  readonly model: Model | string
  readonly feeds: Readonly<Record<string, Dense | Tensor>>
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
    model: typeof model === 'string' ? { path: model } : { bytes: base64(modelToBytes(model)) },
    feeds: Object.fromEntries(Object.entries(feeds).map(([name, feed]) => [name, written32(feed)])),
  }))
  const answers = runPython(python, pythonProgram, { jobs: written, library: library ?? null, threads }) as Raw[]
  return answers.map(answerOf)
}

function answerOf({ error, dims = [], data = '', optimised }: Raw): Answer {
  const operators = ownOperators(Buffer.from(optimised, 'base64'))
  return error === undefined ? { output: dense(dims, floats(data)), operators } : { error, operators }
}

function ownOperators(bytes: Uint8Array): string[] {
  if (bytes.length === 0) return []
  return [...openModel(bytes).graph.nodes()].filter(({ domain }) => domain === 'outeffhop').map(({ opType }) => opType)
}

/** An addon and the library it is to load, and a folder to work in. */
export interface Bridge {
  readonly addon: string
  readonly library: string
  readonly folder: string
}

/**
 * Runs a model in onnxruntime-node: before the bridge loads the library, then from its file, then from its bytes. `refused`
 * has what the bridge says to a name without a slash, to a file that is not there, and to a library without operators.
 */
export function runBridged({ addon, library, folder }: Bridge, { model, feeds }: Job): Bridged {
  const [file, optimised] = ['bridged.onnx', 'optimised.onnx'].map((name) => join(folder, name)) as [string, string]
  writeFileSync(file, modelToBytes(model as Model))
  const given = Object.fromEntries(Object.entries(feeds).map(([name, feed]) => [name, written32(feed)]))
  const input = JSON.stringify({ addon, library, file, optimised, feeds: given })
  const run = spawnSync(process.execPath, ['-e', nodeProgram], { input, encoding: 'utf8' })
  if (run.status !== 0 || run.stderr !== '')
    throw new Error(`the bridged process ended with ${run.status}: ${run.stderr}`)
  const { refused, results } = JSON.parse(run.stdout) as { refused: string[]; results: Raw[] }
  return { refused, results: results.map(answerOf) }
}

interface Bridged {
  readonly refused: readonly string[]
  readonly results: readonly Answer[]
}

interface Raw {
  readonly error?: string
  readonly dims?: number[]
  readonly data?: string
  readonly optimised: string
}

function written32(feed: Dense | Tensor): { type: string; dims: readonly number[]; data: string } {
  const { dims, data } = feed
  if ('type' in feed && feed.type === 'int64') return { type: 'int64', dims, data: base64(data as BigInt64Array) }
  return { type: 'float32', dims, data: base64(Float32Array.from(data as ArrayLike<number>)) }
}

function base64({ buffer, byteOffset, byteLength }: NodeJS.TypedArray): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64')
}

function floats(text: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer)
}

const pythonProgram = `
import base64, json, os, sys, tempfile
import numpy as np, onnxruntime as ort
given = json.load(sys.stdin)
array = lambda t: np.frombuffer(base64.b64decode(t['data']), t['type']).reshape(t['dims'])
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
            model = job['model']['path'] if 'path' in job['model'] else base64.b64decode(job['model']['bytes'])
            session = ort.InferenceSession(model, options, providers=['CPUExecutionProvider'])
            optimised = open(options.optimized_model_filepath, 'rb').read()
            output = session.run(None, {name: array(t) for name, t in job['feeds'].items()})[0]
            answers.append({'dims': output.shape, 'data': text(output.tobytes()), 'optimised': text(optimised)})
        except Exception as error:
            answers.append({'error': str(error), 'optimised': text(optimised)})
print(json.dumps(answers))
`

const nodeProgram = `
const { readFileSync } = require('node:fs')
const ort = require(${JSON.stringify(createRequire(import.meta.url).resolve('onnxruntime-node'))})
const { addon, library, file, optimised, feeds } = JSON.parse(readFileSync(0, 'utf8'))
const floats = (text) => new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer)
const given = Object.entries(feeds).map(([name, { dims, data }]) => [name, new ort.Tensor('float32', floats(data), dims)])
const run = async (model) => {
  const options = { logSeverityLevel: 3, intraOpNumThreads: 2, optimizedModelFilePath: optimised }
  const session = await ort.InferenceSession.create(model, options)
  const { y } = await session.run(Object.fromEntries(given))
  return { dims: y.dims, data: Buffer.from(y.data.buffer).toString('base64'), optimised: readFileSync(optimised, 'base64') }
}
const refusal = (path) => { try { bridge.load(path); return 'taken' } catch (error) { return error.message } }
const bridge = require(addon)
void (async () => {
  const before = await run(file)
  const refused = [refusal('name.so'), refusal('/nowhere/name.so'), refusal(addon)]
  bridge.load(library)
  bridge.load(library)
  console.log(JSON.stringify({ refused, results: [before, await run(file), await run(readFileSync(file))] }))
})()
`
