import { spawn, spawnSync } from 'node:child_process'
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'

/** One measured process: wall seconds, CPU seconds with those of its children, and peak resident set in MB. */
export interface ProcessCost {
  readonly seconds: number
  readonly cpu: number
  readonly peakMb: number
}

/**
 * Runs a command once as a fresh process and returns what it cost; GNU time, whose own clock has steps of 10 ms, tells the
 * memory. Throws when the command exits with anything but 0.
 */
export function runProcess(command: string, args: readonly string[]): ProcessCost {
  const start = performance.now()
  const result = spawnSync('/usr/bin/time', ['-f', '%M %U %S', command, ...args], { encoding: 'utf8' })
  const seconds = (performance.now() - start) / 1000
  if (result.error) throw result.error
  const lines = result.stderr.trimEnd().split('\n')
  if (result.status !== 0)
    throw new Error(`${command} ${args.join(' ')} exited with ${result.status}\n${result.stderr}`)
  const [kilobytes, user, system] = (lines.at(-1) ?? '').split(' ').map(Number)
  return { seconds, cpu: (user as number) + (system as number), peakMb: (kilobytes as number) / 1024 }
}

/** Milliseconds between two looks at the memory of a command. */
const lookEvery = 20

/**
 * The most memory in MB that a command and the processes it started had together: proportional set sizes, in which what two
 * of them share counts once. Throws when the command exits with anything but 0.
 */
export function peakOfTree(command: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let [peak, errors] = [0, '']
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-2000)
    })
    const timer = setInterval(() => {
      peak = Math.max(
        peak,
        treeOf(child.pid as number).reduce((sum, pid) => sum + residentKb(pid), 0),
      )
    }, lookEvery)
    child.on('error', reject)
    child.on('exit', (code) => {
      clearInterval(timer)
      if (code === 0) resolve(peak / 1024)
      else reject(new Error(`${command} ${args.join(' ')} exited with ${code}\n${errors}`))
    })
  })
}

function treeOf(pid: number): number[] {
  try {
    const threads = readdirSync(`/proc/${pid}/task`)
    const children = threads.flatMap((id) => readFileSync(`/proc/${pid}/task/${id}/children`, 'utf8').split(' '))
    return [pid, ...children.filter((text) => text !== '').flatMap((text) => treeOf(Number(text)))]
  } catch {
    // It has just ended.
    return []
  }
}

function residentKb(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 ? (sorted[half] as number) : ((sorted[half - 1] as number) + (sorted[half] as number)) / 2
}

export interface ResultRow {
  readonly bench: string
  readonly case: string
  readonly subject: string
  readonly peer: string
  readonly metric: string
  readonly value: number
  readonly runs: number
}

const file = 'test/bench/results.csv'

/** Appends rows to `test/bench/results.csv` and prints them. */
export function record(rows: readonly ResultRow[]): void {
  if (!existsSync(file)) writeFileSync(file, 'date,node,cpu,bench,case,subject,peer,metric,value,runs\n')
  const stamp = `${new Date().toISOString().slice(0, 10)},${process.version},${cpus()[0]?.model.replaceAll(',', ' ').trim()}`
  for (const r of rows) {
    appendFileSync(
      file,
      `${stamp},${r.bench},${r.case},${r.subject},${r.peer},${r.metric},${r.value.toFixed(3)},${r.runs}\n`,
    )
    console.log(
      `${r.case.padEnd(28)} ${r.subject.padEnd(28)} ${r.metric} ${r.value.toFixed(3)}${r.peer ? ` (against ${r.peer})` : ''}`,
    )
  }
}
