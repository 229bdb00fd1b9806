type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

/** A line of the lock file is this long at most, unless a single value is longer. */
const width = 120

/**
 * Plain data as JSON with one fact a line, so that a change of a fact is a change of a line: lists and objects of single
 * values stand on one line where they fit.
 */
export function lockText(value: object): string {
  return `${print(JSON.parse(JSON.stringify(value)), '')}\n`
}

function print(value: Json, indent: string, before = 0): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries: [string, Json][] = Array.isArray(value)
    ? value.map((item) => ['', item])
    : Object.entries(value).map(([name, item]) => [`${JSON.stringify(name)}: `, item])
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}']
  if (entries.length === 0) return open + close
  if (entries.every(([, item]) => typeof item !== 'object' || item === null)) {
    const inside = entries.map(([name, item]) => name + JSON.stringify(item)).join(', ')
    const line = Array.isArray(value) ? `[${inside}]` : `{ ${inside} }`
    if (indent.length + before + line.length < width) return line
  }
  const inner = `${indent}  `
  const lines = entries.map(([name, item]) => inner + name + print(item, inner, name.length))
  return `${open}\n${lines.join(',\n')}\n${indent}${close}`
}
