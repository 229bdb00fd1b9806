import type { Source } from '../wire/index.ts'
import { copyOf } from '../wire/index.ts'

/** Files people take for ONNX models, by the bytes they have at a position. */
const signatures: readonly { at: number; text: string; kind: string }[] = [
  { at: 0, text: 'version https://git-lfs', kind: 'it is a Git LFS pointer; run "git lfs pull" to fetch the model' },
  { at: 0, text: 'PK\x03\x04', kind: 'it is a zip archive, as PyTorch writes (.pt, .pth); export it to ONNX' },
  { at: 0, text: '\x80\x02', kind: 'it is a Python pickle, as PyTorch writes (.pt, .pth); export it to ONNX' },
  { at: 0, text: '\x1f\x8b', kind: 'it is compressed with gzip; unpack it first' },
  { at: 0, text: 'GGUF', kind: 'it is a GGUF model' },
  { at: 0, text: '\x89HDF', kind: 'it is an HDF5 file, as Keras writes (.h5); export it to ONNX' },
  { at: 4, text: 'ORTM', kind: 'it is in the ORT format, which cannot be converted; take the .onnx it was made from' },
  { at: 4, text: 'TFL3', kind: 'it is a TensorFlow Lite model; convert it to ONNX with tf2onnx' },
  { at: 8, text: '{"', kind: 'it is a safetensors file, which has weights and no graph; export the model to ONNX' },
]

/** What a file that could not be read as ONNX looks like; `undefined` when like nothing we know. */
export function kindOfFile(source: Source): string | undefined {
  const head = copyOf(source, 0, Math.min(source.size, 512))
  const text = head.toString('latin1')
  const known = signatures.find((s) => text.startsWith(s.text, s.at))
  if (known) return known.kind
  if (/^\s*<(!doctype|html|\?xml)/i.test(text)) return 'it is a web page or XML'
  return head.every(isText) ? 'it is a text file' : undefined
}

/** Printable ASCII, white space, or a part of a character beyond ASCII. */
function isText(byte: number): boolean {
  return byte >= 0x20 ? byte !== 0x7f : byte === 0x09 || byte === 0x0a || byte === 0x0d
}
