import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { outputNotWritable } from '../errors.ts'
import type { Model } from '../ir/index.ts'
import { writeText } from './write-text.ts'

/** Writes the model as text, `00-input.txt`, `01-PASS.txt`, …: one file each time the returned function is called. */
export function dumpInto(folder: string): (name: string, model: Model) => void {
  let step = 0
  try {
    mkdirSync(folder, { recursive: true })
  } catch (error) {
    throw outputNotWritable(folder, (error as NodeJS.ErrnoException).code ?? String(error))
  }
  return (name, model) => {
    writeText(join(folder, `${String(step++).padStart(2, '0')}-${name}.txt`), model)
  }
}
