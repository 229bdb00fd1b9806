import { repeatedField } from '../../errors.ts'
import type { Field, Scan } from '../../wire/index.ts'
import { place, textOfRange, wireType } from '../../wire/index.ts'

/** The text of the field a scan is at. */
export function textAt(scan: Scan): string {
  return textOfRange(scan.source, scan.body, scan.end)
}

/** The text a field holds. */
export function textOf(field: Field): string {
  return textOfRange(field.source, field.body, field.end)
}

/** The varint of the field a scan is at, as a number. */
export function numberAt(scan: Scan): number {
  return Number(scan.int)
}

/** The varint as the signed 32-bit integer that enumerations and `int32` fields are. */
export function int32At(scan: Scan): number {
  return scan.low | 0
}

/** Whether the scan is at field `number` with a text, bytes or a message in it. */
export function isBytes(scan: Scan, number: number): boolean {
  return scan.number === number && scan.wire === wireType.bytes
}

/** Whether the scan is at field `number` with an integer in it. */
export function isInt(scan: Scan, number: number): boolean {
  return scan.number === number && scan.wire === wireType.varint
}

/**
 * Refuses the second of a message that there can be only one of. Other readers merge the two; nobody writes them.
 */
export function refuseSecond(first: unknown, name: string, scan: Scan): void {
  if (first !== undefined) throw repeatedField(name, place(scan.source, scan.start))
}
