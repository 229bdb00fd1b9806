import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { kernels } from './kernels.ts'

/** A row of the table in src/kernels/README.md. */
export interface Budget {
  readonly kernel: string
  readonly size: string
  readonly queries: number
  readonly shared: number
  readonly registers: number
  readonly blocks: readonly number[]
}

export const budgets: readonly Budget[] = readBudgets(readFileSync(join(kernels, 'README.md'), 'utf8'))

/** The compiled kernels a row is about. */
export function instancesOf({ kernel, size }: Budget): string[] {
  return kernel === 'flash' ? [`Float16 ${size}`, `BFloat16 ${size}`] : [`float ${size}`]
}

/** Rows like `| flash | 64 | 128 x 64 | 40960 | 184 | 2 | 2 | 2 | 2 |`. */
function readBudgets(readme: string): Budget[] {
  const rows = readme.matchAll(/^\| (flash|plain) *\| (\d+) *\| (\d+) x \d+ *\| (\d+) *\| (\d+) *\|([\d |]+)\|$/gm)
  return Array.from(rows, ([, kernel, size, queries, shared, registers, blocks]) => ({
    ...{ kernel: kernel!, size: size!, queries: Number(queries), shared: Number(shared), registers: Number(registers) },
    blocks: blocks!.split('|').map(Number),
  }))
}
