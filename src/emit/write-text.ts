import type { Model } from '../ir/index.ts'
import { placeText, printModel } from '../onnx/index.ts'

/** Writes a model in ONNX's textual syntax, large weights left out. */
export function writeText(path: string, model: Model): { path: string; bytes: number; sha256: null } {
  return { path, bytes: placeText(path, printModel(model)), sha256: null }
}
