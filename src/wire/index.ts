export { Budget } from './budget.ts'
export { Field, Fields } from './fields.ts'
export { Patch } from './patch.ts'
export type { Piece, Stream } from './piece.ts'
export {
  bytesField,
  bytesPiece,
  delimited,
  floatField,
  intField,
  rangePiece,
  streamPiece,
  stringField,
  totalSize,
} from './piece.ts'
export { depthLimit, Scan, wireType } from './scan.ts'
export type { Sink } from './sink.ts'
export { emit, FileSink, MemorySink } from './sink.ts'
export type { Source } from './source.ts'
export { BytesSource, copyOf, FileSource, place, textOfRange } from './source.ts'
export { decodeText, encodeText } from './text.ts'
