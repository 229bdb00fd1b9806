import type { Field, Piece } from '../../wire/index.ts'
import { Budget, BytesSource, delimited, emit, Fields, MemorySink, totalSize } from '../../wire/index.ts'

/** A message as a field, the way the reader finds it in a file: what the IR keeps as the origin of an object. */
export function encodedField(message: readonly Piece[], budget = new Budget(1000)): Field {
  const field = delimited(1, message)
  const sink = new MemorySink(totalSize([field]))
  for (const _ of emit([field], sink));
  return new Fields(new BytesSource(sink.bytes), 0, sink.bytes.length, budget).field(0)
}
