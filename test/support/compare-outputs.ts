import type { Model, Tensor } from '../../src/ir/index.ts'
import { dtypes, isFloat } from '../../src/ir/index.ts'
import { modelToBytes } from '../../src/onnx/index.ts'
import type { SessionOptions, Sizes } from '../../src/runtime/index.ts'
import { generateFeeds, openSession } from '../../src/runtime/index.ts'

type Outputs = Readonly<Record<string, Tensor>>

/** Runs two models on the same generated input; a sentence when the first cannot be run. */
export async function runBoth(
  before: Model,
  after: Model,
  sizes: Sizes,
  optimization: SessionOptions['optimization'] = 'all',
): Promise<readonly [Outputs, Outputs] | string> {
  const { feeds, refused } = generateFeeds(before, sizes, 7)
  if (refused !== undefined) return refused
  const run = async (model: Model): Promise<Outputs> => {
    const session = await openSession(modelToBytes(model), { threads: 1, optimization })
    try {
      return await session.run(feeds)
    } finally {
      await session.close()
    }
  }
  try {
    return [await run(before), await run(after)]
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/**
 * The largest difference between two sets of outputs, relative where numbers are above 1. Infinite when a name, a shape,
 * or a NaN differs.
 */
export function largestDifference(before: Outputs, after: Outputs): number {
  let worst = 0
  for (const [name, tensor] of Object.entries(before)) {
    const other = after[name]
    if (other === undefined || String(other.dims) !== String(tensor.dims)) return Number.POSITIVE_INFINITY
    if (tensor.dtype === dtypes.string) continue
    const [a, b] = [tensor.toNumbers(), other.toNumbers()]
    for (const [i, x] of a.entries()) {
      const y = b[i] as number
      if (Object.is(x, y) || x === y) continue
      const difference = Math.abs(x - y) / Math.max(1, Math.abs(x))
      worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference)
    }
  }
  return worst
}

/** What rounding alone may change, by the coarsest float type among the outputs. */
export function rounding(outputs: Outputs): number {
  const types = Object.values(outputs).map((tensor) => tensor.dtype)
  if (!types.some(isFloat)) return 0
  return types.includes(dtypes.bfloat16) ? 2e-2 : types.includes(dtypes.float16) ? 3e-3 : 1e-5
}
