/** A cell: its text, and how it is emphasised after it was padded. */
export interface Cell {
  readonly text: string
  readonly paint?: (text: string) => string
}

/** Rows of cells as lines, columns two spaces apart, the last column as it is. */
export function alignRows(rows: readonly (readonly Cell[])[], indent = '  '): string[] {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, { text }] of row.slice(0, -1).entries()) {
      widths[column] = Math.max(widths[column] ?? 0, text.length)
    }
  }
  return rows.map((row) =>
    (
      indent +
      row.map((cell, column) => paintCell(cell, column < row.length - 1 ? (widths[column] ?? 0) : 0)).join('  ')
    ).trimEnd(),
  )
}

function paintCell({ text, paint }: Cell, width: number): string {
  const padded = text.padEnd(width)
  return paint === undefined ? padded : paint(padded)
}

/** A size as people read it, in powers of 1000. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  let size = bytes
  while (size >= 999.95 && unit < units.length - 1) {
    size /= 1000
    unit++
  }
  return unit === 0 ? `${bytes} bytes` : `${size.toFixed(1)} ${units[unit]}`
}

/** `1 site`, `2 sites`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : noun.endsWith('x') ? 'es' : 's'}`
}
