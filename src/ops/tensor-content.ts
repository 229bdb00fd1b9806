import { ConvertError } from '../errors.ts'
import type { Tensor } from '../ir/index.ts'
import { dtypes } from '../ir/index.ts'

/** Contents are followed for shapes, axes, scales and per-head constants, not for data. */
export const largestContent = 256

/** The elements of a tensor that is small enough to be followed. */
export function contentOfTensor(tensor: Tensor): number[] | undefined {
  if (tensor.size > largestContent || tensor.payload === undefined || !numeric.has(tensor.dtype)) return undefined
  try {
    return tensor.toNumbers()
  } catch (error) {
    // External data that is missing does not stop the analysis: the value is then not a known constant.
    if (error instanceof ConvertError && error.kind !== 'bug') return undefined
    throw error
  }
}

const numeric: ReadonlySet<number> = new Set([
  dtypes.float,
  dtypes.double,
  dtypes.float16,
  dtypes.bfloat16,
  dtypes.bool,
  dtypes.int8,
  dtypes.int16,
  dtypes.int32,
  dtypes.int64,
  dtypes.uint8,
  dtypes.uint16,
  dtypes.uint32,
  dtypes.uint64,
])
