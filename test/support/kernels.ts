import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** The C++ and CUDA sources, and the emulator and programs that test them. */
export const kernels = resolve(import.meta.dirname, '../../src/kernels')
export const emulator = resolve(import.meta.dirname, '../kernels')
export const caseTable = join(kernels, 'check/cases.txt')

/** The host compiler, `CXX` or g++; `undefined`, with the reason printed once, where it does not run. */
export function hostCompiler(): string | undefined {
  const compiler = process.env.CXX ?? 'g++'
  if (spawnSync(compiler, ['--version']).status === 0) return compiler
  console.log(`skipped: ${compiler} does not run; set CXX to a C++17 compiler`)
  return undefined
}

/**
 * A program of the CUDA toolkit: from the path, the usual folder, or the packages of the interpreter that `PYTHON` names;
 * `undefined`, with the reason printed once, where it is nowhere.
 */
export function cudaProgram(name: string): string | undefined {
  const prefix = process.env.PYTHON === undefined ? [] : pythonPackages(process.env.PYTHON)
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/local/cuda/bin', ...prefix]
  const found = folders.map((folder) => join(folder, name)).find((file) => existsSync(file))
  if (found === undefined) console.log(`skipped: ${name} is neither on the path nor among the packages of PYTHON`)
  return found
}

function pythonPackages(python: string): string[] {
  const program = 'import sysconfig; print(sysconfig.get_path("purelib"))'
  const run = spawnSync(python, ['-c', program], { encoding: 'utf8' })
  return run.status === 0 ? [join(run.stdout.trim(), 'nvidia/cu13/bin')] : []
}

export interface Ran {
  readonly code: number | null
  readonly output: string
}

/** Runs a program to its end; `output` is stdout and stderr as they came. */
export function run(program: string, args: readonly string[], path = process.env.PATH): Promise<Ran> {
  return new Promise((settle, fail) => {
    const child = spawn(program, args, { env: { ...process.env, PATH: path }, stdio: ['ignore', 'pipe', 'pipe'] })
    const chunks: Buffer[] = []
    child.stdout.on('data', (chunk) => chunks.push(chunk))
    child.stderr.on('data', (chunk) => chunks.push(chunk))
    child.on('error', fail)
    child.on('close', (code) => settle({ code, output: Buffer.concat(chunks).toString() }))
  })
}

/** Runs a program that has to succeed. */
export async function must(program: string, args: readonly string[], path?: string): Promise<string> {
  const { code, output } = await run(program, args, path)
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${output.slice(-4000)}`)
  return output
}
