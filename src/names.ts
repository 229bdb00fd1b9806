/**
 * A test for names by a pattern: `*` is any text (slashes too), `?` one character, `{a,b}` one of several. Everything else
 * stands for itself. A name equal to the pattern matches, whatever it contains.
 */
export function matcher(pattern: string): (name: string) => boolean {
  const expression = pattern.replace(/[.+^$()|[\]\\]|\*|\?|\{[^{}]*,[^{}]*\}|[{}]/g, (token) => {
    if (token === '*') return '.*'
    if (token === '?') return '.'
    if (token.length > 1) return `(?:${token.slice(1, -1).split(',').map(literal).join('|')})`
    return literal(token)
  })
  const whole = new RegExp(`^${expression}$`, 's')
  return (name) => name === pattern || whole.test(name)
}

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/** The known word most like `word`, when one is alike enough to be a misspelling. */
export function closest(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined
  let least = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of known) {
    const distance = edits(word.toLowerCase(), candidate.toLowerCase())
    if (distance < least) [best, least] = [candidate, distance]
  }
  return best
}

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
function edits(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  const at = (i: number, j: number) => rows[i]?.[j] ?? 0
  for (let i = 1; i <= a.length; i++) {
    rows.push([i])
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let least = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, at(i - 2, j - 2) + 1)
      rows[i]?.push(least)
    }
  }
  return at(a.length, b.length)
}
