import type { Fields, Patch, Piece } from '../../wire/index.ts'
import { delimited, stringField } from '../../wire/index.ts'
import { readEntry } from '../read/tensor.ts'
import { schema } from '../schema.ts'

/** Brings the key-value fields of one number up to date: entries that are as they were keep their bytes. */
export function patchEntries(
  patch: Patch,
  fields: Fields | undefined,
  number: number,
  entries: ReadonlyMap<string, string>,
): void {
  const left = new Map(entries)
  for (const index of patch.indices(number)) {
    const old = new Map<string, string>()
    if (fields) readEntry(fields.field(index).at(), old)
    for (const [key, value] of old) {
      const now = left.get(key)
      if (now === undefined) patch.replace(index)
      else if (now !== value) patch.replace(index, entryPiece(number, key, now))
      left.delete(key)
    }
  }
  for (const [key, value] of left) patch.add(number, entryPiece(number, key, value))
}

function entryPiece(number: number, key: string, value: string): Piece {
  return delimited(number, [stringField(schema.Entry.key, key), stringField(schema.Entry.value, value)])
}
