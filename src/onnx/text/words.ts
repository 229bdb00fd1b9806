const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/

/** A name as the syntax wants it: bare when it is an identifier, quoted otherwise. */
export function quoteId(name: string): string {
  return identifier.test(name) ? name : quote(name)
}

/** A string in double quotes; only the quote and the backslash are escaped. */
export function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

/** A domain-qualified operator: dotted identifiers are bare, any other domain is quoted. */
export function qualified(domain: string, name: string): string {
  if (domain === '') return quoteId(name)
  const parts = domain.split('.')
  return `${parts.every((part) => identifier.test(part)) ? domain : quote(domain)}.${quoteId(name)}`
}

/** The shortest decimal that reads back as the same float32 (`double`: as the same float64). */
export function printFloat(value: number, double = false): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value < 0 ? '-inf' : 'inf'
  if (Object.is(value, -0)) return '-0.0'
  return withPoint(double ? String(value) : shortestSingle(value))
}

function shortestSingle(value: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const text = value.toPrecision(digits)
    if (Math.fround(Number(text)) === value) return String(Number(text))
  }
  return String(Number(value.toPrecision(9)))
}

/** Floats carry a point or an exponent, so that a reader that infers types does not take them for integers. */
function withPoint(text: string): string {
  return /[.e]/.test(text) ? text : `${text}.0`
}
