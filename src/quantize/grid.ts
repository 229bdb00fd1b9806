import type { DType } from '../ir/index.ts'
import { dtypes, float8ToNumber, largestFloat8, numberToFloat8, Tensor } from '../ir/index.ts'
import { roundEven, weightLimit } from './affine.ts'

/** The numbers around 0 that weights, and activations of symmetric quantizers, are rounded to, in steps of a scale. */
export interface Grid {
  readonly dtype: DType
  /** The largest magnitude of a number. */
  readonly largest: number
  /** The nearest number, ties to even; beyond the largest it is the largest. */
  round(x: number): number
}

/** Integers of magnitudes up to `largest`. */
export function integerGrid(largest: number): Grid {
  const round = (x: number) => Math.min(largest, Math.max(-largest, roundEven(x)))
  return { dtype: dtypes.int8, largest, round }
}

/** Floats of 8 bits, four of them for the exponent: steps grow with the number. */
export const float8Grid: Grid = {
  dtype: dtypes.float8e4m3fn,
  largest: largestFloat8,
  round: (x) => float8ToNumber(numberToFloat8(x)),
}

/** The grid of a recipe. */
export function gridOf({ recipe, reduceRange }: { readonly recipe: string; readonly reduceRange: boolean }): Grid {
  return recipe === 'fp8' ? float8Grid : integerGrid(weightLimit(reduceRange))
}

/**
 * The step of a symmetric quantizer, `magnitude / largest`, as a number of type `dtype`, in which it is stored: integers are
 * made with the step that they are read with. Never 0; 1 where everything is 0.
 */
export function symmetricScale(magnitude: number, { largest }: Grid, dtype: DType): number {
  if (!(magnitude > 0) || !Number.isFinite(magnitude)) return 1
  return Math.max(smallest.get(dtype) ?? 0, asStored(magnitude / largest, dtype))
}

/** A number as a type of it holds it. */
export function asStored(x: number, dtype: DType): number {
  return Tensor.scalar(dtype, x).toNumbers()[0] as number
}

/** The smallest step of each type: float16 has six more bits below 2^-18, enough to come near the one that is wanted. */
const smallest: ReadonlyMap<DType, number> = new Map([
  [dtypes.float, 2 ** -126],
  [dtypes.bfloat16, 2 ** -126],
  [dtypes.float16, 2 ** -18],
])
