/** A number as it is read: four digits, without a locale, so that it is the same everywhere. */
export function figure(x: number | null | undefined): string {
  if (x === null || x === undefined) return '–'
  if (x === 0) return '0'
  const size = Math.abs(x)
  if (size >= 1e5 || size < 1e-3) return Number(x.toPrecision(3)).toExponential().replace('e+', 'e')
  return String(Number(x.toPrecision(4)))
}

/** A share in percent. */
export function percent(share: number | null | undefined): string {
  return share === null || share === undefined ? '–' : `${figure(100 * share)} %`
}
