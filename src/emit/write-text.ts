import { writeFileSync } from 'node:fs'
import type { Model } from '../ir/index.ts'
import { encodeText, printModel } from '../onnx/text/index.ts'
import { TemporaryFile } from '../onnx/write/temporary.ts'

/** Writes a model in ONNX's textual syntax, large weights left out. */
export function writeText(path: string, model: Model): { path: string; bytes: number; sha256: null } {
  const text = encodeText(printModel(model))
  const file = new TemporaryFile(path, text.length)
  try {
    file.write(() => writeFileSync(file.fd, text))
    file.finish()
    file.place()
  } finally {
    file.discard()
  }
  return { path, bytes: text.length, sha256: null }
}
