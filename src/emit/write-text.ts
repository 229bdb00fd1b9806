import { writeFileSync } from 'node:fs'
import { outputNotWritable } from '../errors.ts'
import type { Model } from '../ir/index.ts'
import { encodeText, printModel } from '../onnx/text/index.ts'

/** Writes a model in ONNX's textual syntax, large weights left out. */
export function writeText(path: string, model: Model): { path: string; bytes: number; sha256: null } {
  const text = encodeText(printModel(model))
  try {
    writeFileSync(path, text)
  } catch (error) {
    if (error instanceof Error && 'syscall' in error && 'code' in error)
      throw outputNotWritable(path, String(error.code))
    throw error
  }
  return { path, bytes: text.length, sha256: null }
}
