import type { Tensor } from '../ir/index.ts'
import { Budget, BytesSource, Field, Fields } from '../wire/index.ts'
import { Document } from './document.ts'
import { readTensor } from './read/tensor.ts'

const budget = 8_000_000

/** Reads a TensorProto message by itself, as `input_0.pb` files are. External data is refused when it is read. */
export function tensorFromProto(bytes: Uint8Array): Tensor {
  const source = new BytesSource(delimited(bytes))
  const fields = new Fields(source, 0, source.size, new Budget(budget))
  return readTensor(new Document(fields), new Field(fields, 0))
}

/** The message as the first field of another, which is how the reader finds tensors. */
function delimited(bytes: Uint8Array): Uint8Array {
  const head = [1 * 8 + 2]
  let length = bytes.length
  for (; length > 0x7f; length = Math.floor(length / 128)) head.push((length % 128) + 0x80)
  return Buffer.concat([Uint8Array.from([...head, length]), bytes])
}
