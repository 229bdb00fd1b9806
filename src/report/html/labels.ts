/** Characters that fit beside a plot. */
const most = 34

/**
 * Names that have to fit: what all begin with is dropped, as is the ending that exporters give outputs; of what is still too
 * long the middle is left out, behind the first number, which tells the layers apart.
 */
export function labelsOf(names: readonly string[]): readonly string[] {
  const shared = sharedStart(names)
  return names.map((name) => shortened(name.slice(shared).replace(/(?<=.)_output_0$/, '')))
}

/** How much all names have in common at their start, up to a separator; nothing for a single one. */
function sharedStart([first = '', ...others]: readonly string[]): number {
  if (others.length === 0) return 0
  let length = 0
  while (length < first.length && others.every((name) => name[length] === first[length])) length++
  return first.slice(0, length).search(/[^/.]*$/)
}

function shortened(name: string): string {
  if (name.length <= most) return name
  const [start = ''] = /^\D*\d+/.exec(name) ?? []
  const head = start.length > 0 && start.length <= most / 2 ? start : name.slice(0, most / 2)
  return `${head}…${name.slice(head.length + 1 - most)}`
}
