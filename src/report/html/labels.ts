/** Characters that fit beside a plot. */
const most = 34

/**
 * Names that have to fit beside a plot, each another: what all begin with goes, as does the ending that exporters give
 * outputs, and of those that are still too long the parts between slashes that most of the names have.
 */
export function labelsOf(names: readonly string[]): readonly string[] {
  const shared = sharedStart(names)
  const paths = names.map((name) =>
    name
      .slice(shared)
      .replace(/(?<=.)_output_0$/, '')
      .split('/'),
  )
  const uses = new Map<string, number>()
  for (const part of paths.flatMap((path) => [...new Set(path)])) uses.set(part, (uses.get(part) ?? 0) + 1)
  return numbered(paths.map((path) => shortened(path, uses)))
}

/** How much all names have in common at their start, up to a slash; nothing for a single one. */
function sharedStart([first = '', ...others]: readonly string[]): number {
  if (others.length === 0) return 0
  let length = 0
  while (length < first.length && others.every((name) => name[length] === first[length])) length++
  return first.lastIndexOf('/', length - 1) + 1
}

function shortened(path: readonly string[], uses: ReadonlyMap<string, number>): string {
  let parts = [...path]
  // The first number is that of the layer.
  const layer = path.find((part) => /\d/.test(part))
  const left = () => parts.filter((part) => part !== '…' && part !== layer)
  while (parts.join('/').length > most && left().length > 1) {
    const commonest = left().reduce((a, b) => ((uses.get(b) ?? 0) > (uses.get(a) ?? 0) ? b : a))
    parts[parts.indexOf(commonest)] = '…'
    parts = parts.filter((part, i) => part !== '…' || (i > 0 && parts[i - 1] !== '…'))
  }
  const label = parts.join('/')
  return label.length <= most ? label : `${label.slice(0, most / 2)}…${label.slice(1 - most / 2)}`
}

/** Labels that are alike are told apart by a number. */
function numbered(labels: readonly string[]): readonly string[] {
  const seen = new Map<string, number>()
  return labels.map((label) => {
    const before = seen.get(label) ?? 0
    seen.set(label, before + 1)
    return before === 0 ? label : `${label} (${before + 1})`
  })
}
