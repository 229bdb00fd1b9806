import type { Range } from '../../quantize/statistics.ts'
import { ForeignTable } from './foreign-table.ts'

/**
 * The `calibration.flatbuffers` of ONNX Runtime: a FlatBuffers table `{ dict: [{ key: string, value: string }] }` of names
 * and largest magnitudes. Its writer takes the upper end of a range for the magnitude, so that values far below 0 are
 * clipped; `calibration.json` has both ends. Undefined when the bytes are something else.
 */
export function onnxruntimeBinary(bytes: Uint8Array): ForeignTable | undefined {
  try {
    const ranges = new Map(entriesOf(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)))
    return ranges.size === 0 ? undefined : new ForeignTable('ONNX Runtime, calibration.flatbuffers', ranges)
  } catch (error) {
    // Something else read as offsets leads outside of the bytes, or to what is neither text nor a number.
    if (error instanceof RangeError || error instanceof TypeError) return undefined
    throw error
  }
}

function* entriesOf(view: DataView): Generator<[name: string, range: Range]> {
  const dict = followed(view, fieldOf(view, followed(view, 0), 0))
  const count = view.getUint32(dict, true)
  if (4 * count > view.byteLength) throw new RangeError('more entries than the bytes can hold')
  for (let i = 0; i < count; i++) {
    const entry = followed(view, dict + 4 + 4 * i)
    const most = Math.abs(Number(textOf(view, fieldOf(view, entry, 1)) || Number.NaN))
    if (!Number.isFinite(most)) throw new TypeError('no number')
    yield [textOf(view, fieldOf(view, entry, 0)), { min: -most, max: most }]
  }
}

/** Where an offset that stands at `at` leads. */
function followed(view: DataView, at: number): number {
  return at + view.getUint32(at, true)
}

/** Where field `index` of a table is: the table starts with the distance back to its list of fields. */
function fieldOf(view: DataView, table: number, index: number): number {
  const fields = table - view.getInt32(table, true)
  const at = 4 + 2 * index
  const offset = at < view.getUint16(fields, true) ? view.getUint16(fields + at, true) : 0
  if (offset === 0) throw new RangeError('a field is missing')
  return table + offset
}

/** The string that the field at `at` refers to. */
function textOf(view: DataView, at: number): string {
  const start = followed(view, at) + 4
  const length = view.getUint32(start - 4, true)
  if (start + length > view.byteLength) throw new RangeError('a string ends outside of the bytes')
  return new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array(view.buffer, view.byteOffset + start, length))
}
