import { spawnSync } from 'node:child_process'

/**
 * The Python to use as an oracle, when it can import all of `modules`; `undefined`, with the reason printed once, when not.
 * `PYTHON` names the interpreter; `python3` otherwise.
 */
export function pythonWith(...modules: string[]): string | undefined {
  const python = process.env.PYTHON ?? 'python3'
  const probe = spawnSync(python, ['-c', `import ${modules.join(', ')}`], { encoding: 'utf8' })
  if (probe.status === 0) return python
  const reason = probe.error?.message ?? probe.stderr.trim().split('\n').at(-1)
  console.log(`skipped: ${python} has no ${modules.join(', ')} (${reason}); set PYTHON to an interpreter that has them`)
  return undefined
}

/** Runs a Python program with `input` as JSON on stdin and gives its stdout parsed as JSON. */
export function runPython(python: string, program: string, input: unknown): unknown {
  const run = spawnSync(python, ['-c', program], {
    input: JSON.stringify(input),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  if (run.status !== 0) throw new Error(`${python} failed: ${run.stderr}`)
  return JSON.parse(run.stdout)
}
