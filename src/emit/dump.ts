import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { dumpIsFile, outputNotWritable } from '../errors.ts'
import type { Model } from '../ir/index.ts'
import { createFolder } from '../onnx/write/create-folder.ts'
import { writeText } from './write-text.ts'

/** Refuses a folder for text files that could not be written to or created, before any work is done. */
export function checkDump(folder: string): void {
  let nearest = folder
  while (!existsSync(nearest) && dirname(nearest) !== nearest) nearest = dirname(nearest)
  if (!statSync(nearest).isDirectory()) throw dumpIsFile(nearest)
  try {
    accessSync(nearest, constants.W_OK)
  } catch (error) {
    throw outputNotWritable(folder, error)
  }
}

/** Writes the model as text, `00-input.txt`, `01-PASS.txt`, …: one file each time the returned function is called. */
export function dumpInto(folder: string): (name: string, model: Model) => void {
  let step = 0
  try {
    createFolder(folder)
  } catch (error) {
    throw outputNotWritable(folder, error)
  }
  return (name, model) => {
    writeText(join(folder, `${String(step++).padStart(2, '0')}-${name}.txt`), model)
  }
}
