import { spawn } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { interrupted, kernelsBuildFailed, kernelsCheckFailed, kernelsToolMissing, outputNotWritable } from './errors.ts'
import type { KernelPlaces, Variables } from './kernel-places.ts'
import { findKernels, findNodeHeaders, findNvcc, findOrtHeaders } from './kernel-places.ts'
import { modelToBytes, parseModel } from './onnx/index.ts'
import { bridgedRun, installedRuntime } from './runtime/index.ts'

export interface BuildKernelsOptions {
  /** Takes what is built, and the files it is built in. */
  readonly folder: string
  /** Where ONNX Runtime's headers are; `findOrtHeaders` says where else they are looked for. */
  readonly headers?: string | undefined
  /** Left out: where nvcc is. */
  readonly cuda?: boolean | undefined
  /** CUDA architectures as CMake names them; left out: all that the kernels have. */
  readonly architectures?: string | undefined
  readonly env: Variables
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: (phase: string, done: number, total: number) => void
}

export interface BuiltKernels extends KernelPlaces {
  readonly cuda: boolean
  /** What was tried with the result on this machine, a sentence each. */
  readonly checks: readonly string[]
}

/**
 * Builds the operators for ONNX Runtime with cmake, and on Linux the bridge for onnxruntime-node; tries them on this machine.
 *
 * Throws `kernels-tool`, `kernels-header`, `kernels-build` or `kernels-check`, and `interrupted`.
 */
export async function buildKernels(options: BuildKernelsOptions): Promise<BuiltKernels> {
  const { env, folder, onProgress = () => {} } = options
  await requireTool(
    'cmake',
    'Install cmake 3.22 or newer: apt install cmake, brew install cmake, pip install cmake.',
    options,
  )
  const compiler = env.CXX ?? 'c++'
  await requireTool(compiler, 'Install a C++17 compiler, GCC or Clang (apt install g++), or name one in CXX.', options)
  const nvcc = options.cuda === false ? undefined : findNvcc(env)
  if (options.cuda && nvcc === undefined) {
    throw kernelsToolMissing(
      'nvcc',
      'Install the CUDA toolkit, 12.8 or newer, or name its nvcc in CUDACXX; --no-cuda leaves it out.',
    )
  }
  const settings = settingsOf(options, nvcc)
  const build = startAfresh(folder)
  onProgress('configuring', 0, 1)
  await step('cmake', ['-S', findKernels(folder).sources, '-B', build, ...settings], options)
  const jobs = ['--config', 'Release', '--parallel', String(availableParallelism())]
  await step('cmake', ['--build', build, ...jobs], options, (line) => {
    const [, percent] = /^\[ *(\d+)%\]/.exec(line) ?? []
    if (percent !== undefined) onProgress('compiling', Number(percent), 100)
  })
  onProgress('checking', 0, 1)
  const places = findKernels(folder)
  return { ...places, cuda: nvcc !== undefined, checks: await checkKernels(places, build, options) }
}

function settingsOf({ headers, env, folder, architectures }: BuildKernelsOptions, nvcc: string | undefined): string[] {
  const node = process.platform === 'linux' ? findNodeHeaders(process.execPath) : undefined
  const settings = {
    CMAKE_BUILD_TYPE: 'Release',
    CMAKE_LIBRARY_OUTPUT_DIRECTORY: findKernels(folder).folder,
    OUTEFFHOP_ONNXRUNTIME: 'ON',
    ONNXRUNTIME_INCLUDE: findOrtHeaders(headers, env),
    OUTEFFHOP_CUDA: nvcc === undefined ? 'OFF' : 'ON',
    ...(nvcc === undefined ? {} : { CMAKE_CUDA_COMPILER: nvcc }),
    ...(nvcc === undefined || architectures === undefined ? {} : { CMAKE_CUDA_ARCHITECTURES: architectures }),
    OUTEFFHOP_NODE: node === undefined ? 'OFF' : 'ON',
    ...(node === undefined ? {} : { NODE_INCLUDE: node }),
  }
  return Object.entries(settings).map(([name, value]) => `-D${name}=${value}`)
}

/** The folder to build in. What was configured before is forgotten, what was compiled is kept. */
function startAfresh(folder: string): string {
  const build = join(folder, 'build')
  try {
    mkdirSync(build, { recursive: true })
    rmSync(join(build, 'CMakeCache.txt'), { force: true })
  } catch (error) {
    throw outputNotWritable(folder, error)
  }
  return build
}

/** Tries what was built: whether it loads, whether its numbers are right here, and whether ONNX Runtime takes it. */
async function checkKernels(places: KernelPlaces, build: string, options: BuildKernelsOptions): Promise<string[]> {
  const { library, bridge, sources } = places
  if (library === null) throw kernelsCheckFailed('there is no library', `nothing in ${places.folder}`)
  const loads = await run(join(build, 'load_check'), [library], options)
  if (loads.code !== 0) throw kernelsCheckFailed('they cannot be loaded', loads.output)
  const cases = await run(join(build, 'cpu_check'), [join(sources, 'check', 'cases.txt')], options)
  const right = /^(\d+) cases, 0 wrong$/m.exec(cases.output)?.[1]
  if (cases.code !== 0 || right === undefined)
    throw kernelsCheckFailed('they are wrong on this processor', cases.output)
  const checks = ['the library can be loaded', `right on ${right} cases, with every kernel for this processor`]
  const runtime = installedRuntime()
  if (bridge === null || runtime === undefined) return checks
  const one = { q: 0, k: 1, v: 1, y: 0.5 }
  const session = await run(
    process.execPath,
    bridgedRun({ bridge, library }, modelToBytes(parseModel(model)), one),
    options,
  )
  if (session.code !== 0) throw kernelsCheckFailed('onnxruntime-node does not run them', session.output)
  return [...checks, `onnxruntime-node ${runtime} runs them`]
}

/** The operator alone, without a function body: no session without the library loads it. Half of the value for equal scores. */
const model = `
<ir_version: 8, opset_import: ["" : 17, "outeffhop" : 1]>
check (float[1,1,1,1] q, float[1,1,1,1] k, float[1,1,1,1] v) => (float[1,1,1,1] y) {
   y = outeffhop.HopfieldAttention <scale: float = 1.0> (q, k, v)
}`

async function requireTool(tool: string, hint: string, options: BuildKernelsOptions): Promise<void> {
  const { code } = await run(tool, ['--version'], options)
  if (code !== 0) throw kernelsToolMissing(tool, hint)
}

/** Throws `kernels-build` where a program of the build fails, with the end of what it said. */
async function step(
  program: string,
  args: readonly string[],
  options: BuildKernelsOptions,
  onLine?: (line: string) => void,
): Promise<void> {
  const { code, output } = await run(program, args, options, onLine)
  if (code !== 0) throw kernelsBuildFailed([program, ...args].join(' '), output.split('\n').slice(-25).join('\n'))
}

interface Ran {
  /** Null where it could not be started, or was ended by a signal. */
  readonly code: number | null
  readonly output: string
}

function run(
  program: string,
  args: readonly string[],
  { env, signal }: BuildKernelsOptions,
  onLine?: (line: string) => void,
): Promise<Ran> {
  return new Promise((settle, fail) => {
    const child = spawn(program, args, { env: { ...env }, stdio: ['ignore', 'pipe', 'pipe'], signal })
    let [output, rest] = ['', '']
    const take = (chunk: string): void => {
      output += chunk
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) onLine?.(line)
    }
    child.stdout.setEncoding('utf8').on('data', take)
    child.stderr.setEncoding('utf8').on('data', take)
    child.on('error', (error) =>
      signal?.aborted ? fail(interrupted()) : settle({ code: null, output: error.message }),
    )
    child.on('close', (code) => (signal?.aborted ? fail(interrupted()) : settle({ code, output })))
  })
}
