import type { Range } from './statistics.ts'

/** The map between real numbers and integers: `real = scale * (integer - zeroPoint)`. */
export interface Affine {
  readonly scale: number
  readonly zeroPoint: number
}

/**
 * The asymmetric map of a range onto 0..255; the range is widened to hold 0, which is then exact.
 *
 * `scale = (max - min) / 255`, rounded to single precision as it is stored, and `zeroPoint = round(-min / scale)`.
 * Source: ONNX QuantizeLinear.
 */
export function unsignedAffine({ min, max }: Range, largest = 255): Affine {
  const low = Math.min(0, min)
  const high = Math.max(0, max)
  const scale = Math.fround((high - low) / largest)
  if (!(scale > 0) || !Number.isFinite(scale)) return { scale: 1, zeroPoint: 0 }
  return { scale, zeroPoint: Math.min(largest, Math.max(0, roundEven(-low / scale))) }
}

/** Step of a symmetric signed quantizer that reaches `limit` at the given magnitude; 1 where everything is 0. */
export function signedScale(magnitude: number, limit: number): number {
  const scale = Math.fround(magnitude / limit)
  return scale > 0 && Number.isFinite(scale) ? scale : 1
}

/** Largest magnitude of a signed weight: the whole of s8, or half of it for processors that add pairs in 16 bits. */
export function weightLimit(reduceRange: boolean): number {
  return reduceRange ? 63 : 127
}

/** 2^52 + 2^51: adding it leaves no room for fractions, so the processor rounds to nearest even. */
const shifter = 6755399441055744

/** Nearest integer, ties to even, as QuantizeLinear rounds; exact below 2^51. */
export function roundEven(x: number): number {
  return x + shifter - shifter
}
