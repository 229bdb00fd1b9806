/** The largest finite number of float8e4m3fn. */
export const largestFloat8 = 448

/**
 * The bits of a number in float8e4m3fn: a sign, four bits of exponent with bias 7, three of fraction, no infinities. Rounded
 * to nearest even; what is beyond ±448 becomes ±448, as QuantizeLinear has it. Source: ONNX, Float stored in 8 bits.
 */
export function numberToFloat8(value: number): number {
  if (Number.isNaN(value)) return 0x7f
  const sign = value < 0 || Object.is(value, -0) ? 0x80 : 0
  const magnitude = Math.abs(value)
  if (magnitude >= largestFloat8) return sign | 0x7e
  if (magnitude < 2 ** -6) return sign | roundEven(magnitude * 512)
  // log2 can be off by one next to a power of two.
  const near = Math.floor(Math.log2(magnitude))
  const exponent = magnitude < 2 ** near ? near - 1 : magnitude >= 2 ** (near + 1) ? near + 1 : near
  return sign | (((exponent + 6) << 3) + roundEven((magnitude / 2 ** exponent) * 8))
}

/** The number that bits of float8e4m3fn stand for. */
export function float8ToNumber(bits: number): number {
  const sign = bits & 0x80 ? -1 : 1
  const exponent = (bits >> 3) & 0xf
  const fraction = bits & 7
  if (exponent === 15 && fraction === 7) return Number.NaN
  return sign * (exponent === 0 ? fraction / 512 : (1 + fraction / 8) * 2 ** (exponent - 7))
}

function roundEven(x: number): number {
  const floor = Math.floor(x)
  const rest = x - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
}
