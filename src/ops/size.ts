/**
 * Sizes of axes: a number, or a product of a number and symbols (`12*batch`), so that shapes with symbolic dimensions can
 * be multiplied, divided and compared. Two sizes are the same exactly when they are `===`.
 *
 * A symbol is a `dim_param`, a sum such as `(past+seq)`, or a name made up for one axis of one value.
 */
export type Size = number | string

interface Product {
  readonly factor: number
  readonly symbols: readonly string[]
}

/** The size a dimension name stands for. `8*s0`, as exporters write multiples of a symbol, is a product here too. */
export function sizeOfName(name: string): Size {
  const multiple = /^(\d+)\*([A-Za-z_]\w*)$/.exec(name)
  if (multiple) return timesSizes(Number(multiple[1]), multiple[2] as string)
  return name.replaceAll('*', '×').replaceAll(' ', '')
}

export function timesSizes(a: Size, b: Size): Size {
  if (typeof a === 'number' && typeof b === 'number') return a * b
  const x = parse(a)
  const y = parse(b)
  return format({ factor: x.factor * y.factor, symbols: [...x.symbols, ...y.symbols].sort() })
}

export function productOf(sizes: readonly Size[]): Size {
  return sizes.reduce<Size>(timesSizes, 1)
}

/** `a / b` where it is a size again, else `undefined`. */
export function divideSizes(a: Size, b: Size): Size | undefined {
  const x = parse(a)
  const y = parse(b)
  if (y.factor === 0 || x.factor % y.factor !== 0) return undefined
  const symbols = [...x.symbols]
  for (const symbol of y.symbols) {
    const at = symbols.indexOf(symbol)
    if (at < 0) return undefined
    symbols.splice(at, 1)
  }
  return format({ factor: x.factor / y.factor, symbols })
}

/** `a + b`; numbers inside a sum are folded, so that one added and one taken away give the same symbol back. */
export function addSizes(a: Size, b: Size): Size {
  if (typeof a === 'number' && typeof b === 'number') return a + b
  const [x, m] = split(a)
  const [y, n] = split(b)
  const terms = [...x, ...y].sort()
  const rest = m + n
  if (terms.length === 1 && rest === 0) return terms[0] as string
  return `(${terms.join('+')}${rest === 0 ? '' : rest > 0 ? `+${rest}` : `${rest}`})`
}

/** `a - b` where it is a size again, else `undefined`. */
export function subtractSizes(a: Size, b: Size): Size | undefined {
  if (typeof b === 'number') return addSizes(a, -b)
  if (a === b) return 0
  const [x, m] = split(a)
  const [y, n] = split(b)
  const terms = [...x]
  for (const term of y) {
    const at = terms.indexOf(term)
    if (at < 0) return undefined
    terms.splice(at, 1)
  }
  return terms.length === 0 ? m - n : terms.reduce<Size>((sum, term) => addSizes(sum, term), m - n)
}

function parse(size: Size): Product {
  if (typeof size === 'number') return { factor: size, symbols: [] }
  const parts = size.split('*')
  const first = Number(parts[0])
  return Number.isFinite(first) && parts.length > 1
    ? { factor: first, symbols: parts.slice(1) }
    : { factor: 1, symbols: parts }
}

function format({ factor, symbols }: Product): Size {
  if (symbols.length === 0) return factor
  if (factor === 0) return 0
  return factor === 1 ? symbols.join('*') : `${factor}*${symbols.join('*')}`
}

/** The terms of a sum and its number. Only sums made by {@link addSizes} come apart. */
function split(size: Size): [string[], number] {
  if (typeof size === 'number') return [[], size]
  const sum = /^\(([^()]*)\)$/.exec(size)
  if (!sum) return [[size], 0]
  const terms = (sum[1] as string).replaceAll('-', '+-').split('+')
  const last = Number(terms.at(-1))
  return Number.isFinite(last) ? [terms.slice(0, -1), last] : [terms, 0]
}
