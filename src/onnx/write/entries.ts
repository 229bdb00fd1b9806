import type { Fields, Patch, Piece } from '../../wire/index.ts'
import { delimited, stringField } from '../../wire/index.ts'
import { entryAt } from '../read/tensor.ts'
import { schema } from '../schema.ts'

/** Brings the key-value fields of one number up to date: entries that are as they were keep their bytes. */
export function patchEntries(
  patch: Patch,
  fields: Fields | undefined,
  number: number,
  entries: ReadonlyMap<string, string>,
): void {
  const left = new Map(entries)
  for (const index of [...patch.indices(number)].reverse()) {
    if (!fields) continue
    const [key, value] = entryAt(fields.field(index).at())
    const now = entries.get(key)
    // Of two entries of a key the last one counts; the one in front of it is kept as it is.
    if (now === undefined) patch.replace(index)
    else if (now !== value && left.has(key)) patch.replace(index, entryPiece(number, key, now))
    left.delete(key)
  }
  for (const [key, value] of left) patch.add(number, entryPiece(number, key, value))
}

function entryPiece(number: number, key: string, value: string): Piece {
  return delimited(number, [stringField(schema.Entry.key, key), stringField(schema.Entry.value, value)])
}
