import { createHash } from 'node:crypto'

/**
 * The sha256, in hexadecimal, of plain data: the same whatever the order of fields. Fields that are undefined do not count.
 */
export function keyOf(parts: object): string {
  return createHash('sha256').update(JSON.stringify(parts, sorted)).digest('hex')
}

function sorted(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
