import type { Payload, Tensor } from '../../ir/index.ts'
import { Budget, BytesSource, delimited, Fields, intField, stringField } from '../../wire/index.ts'
import { ExternalPayload } from '../data/external.ts'
import { Document } from '../document.ts'
import { readTensor } from '../read/tensor.ts'
import { schema } from '../schema.ts'
import type { Cursor } from './cursor.ts'
import { encodedField } from './encoded.ts'
import type { TensorHead } from './tensor.ts'
import { quote } from './words.ts'

const T = schema.Tensor

/** `["location": "weights.bin", "offset": "0", "length": "8"]`; nothing for data that is in the model. */
export function printLocation(payload: Payload | undefined): string | undefined {
  if (!(payload instanceof ExternalPayload)) return undefined
  return `[${payload.entries.map(([key, value]) => `${quote(key)}: ${quote(value)}`).join(', ')}]`
}

/** Reads tensors whose data is in other files, which are looked for in `folder`. */
export class ExternalTensors {
  readonly #document: Document

  constructor(folder: string | undefined) {
    this.#document = new Document(new Fields(new BytesSource(new Uint8Array()), 0, 0, new Budget(8_000_000)), {
      folder,
    })
  }

  parse(cursor: Cursor, head: TensorHead): Tensor {
    const entries = cursor.list('[', ']', () => {
      const key = stringField(schema.Entry.key, cursor.string('a key'))
      cursor.expect(':')
      return delimited(T.externalData, [key, stringField(schema.Entry.value, cursor.string('a value'))])
    })
    const message = [
      ...head.dims.map((dim) => intField(T.dims, dim)),
      intField(T.dataType, head.dtype),
      stringField(T.name, head.name),
      ...entries,
      intField(T.dataLocation, 1),
    ]
    return readTensor(this.#document, encodedField(message, this.#document.budget))
  }
}
