import type { Model } from '../ir/index.ts'
import { encodeText, printModel } from '../onnx/text/index.ts'
import { placeFile } from '../onnx/write/temporary.ts'

/** Writes a model in ONNX's textual syntax, large weights left out. */
export function writeText(path: string, model: Model): { path: string; bytes: number; sha256: null } {
  const text = encodeText(printModel(model))
  placeFile(path, text)
  return { path, bytes: text.length, sha256: null }
}
