import { largestMagnitude } from './matrix.ts'
import type { WeightProduct } from './products.ts'
import type { ChannelStatistics } from './statistics.ts'

/** A function of the channels that is undone by the weights: `x' = (x - shift) / scale`. */
export interface Migration {
  readonly scale: Float64Array
  readonly shift: Float64Array
  /** Whether one step of the result is 1, and 0 is the integer 128. */
  readonly unit: boolean
}

interface MigrationWish {
  readonly alpha: number
  readonly symmetric: boolean
  readonly group?: Int32Array | undefined
  readonly unit?: boolean
}

/** Below this part of the largest, a magnitude counts as this part: dead channels take no part in the balance. */
const floor = 1e-5

/**
 * How much of each channel's size moves from the activation into the weights that read it.
 *
 * `scale_j = max|x_j - shift_j|^alpha / max|w_j|^(1 - alpha)`, divided by its geometric mean, where w_j is row j of all
 * weights together. Source: SmoothQuant (arXiv 2211.10438), equation 4.
 *
 * `shift_j = (min_j + max_j) / 2` where `symmetric`. Source: the symmetrization of OutlierTune (arXiv 2406.18832).
 *
 * Channels of one `group` get one scale.
 *
 * With `unit`, `scale_j = max|x_j - shift_j| / 127`: an integer of the result is a step of its channel, and the weights hold
 * the scales. Source: the pre-executed dequantization of OutlierTune.
 */
export function migrationOf(
  channels: ChannelStatistics,
  products: readonly Pick<WeightProduct, 'tensor' | 'inputAxis'>[],
  { alpha, symmetric, group, unit = false }: MigrationWish,
): Migration | undefined {
  const { min, max } = channels
  const shift = symmetric ? min.map((low, j) => (low + (max[j] as number)) / 2) : new Float64Array(min.length)
  const centred = (x: Float64Array, j: number) => Math.abs((x[j] as number) - (shift[j] as number))
  const activation = raised(
    shared(
      min.map((_, j) => Math.max(centred(min, j), centred(max, j))),
      group,
    ),
  )
  const weights = new Float64Array(min.length)
  for (const { tensor, inputAxis } of products)
    for (const [j, size] of largestMagnitude(tensor, inputAxis).entries()) weights[j] = Math.max(weights[j] ?? 0, size)
  const weight = raised(shared(weights, group))
  if (!activation || !weight) return undefined
  if (unit) return { scale: activation.map((a) => a / 127), shift, unit }
  const log = activation.map((a, j) => alpha * Math.log(a) - (1 - alpha) * Math.log(weight[j] as number))
  const mean = log.reduce((sum, x) => sum + x, 0) / log.length
  return { scale: log.map((x) => Math.exp(x - mean)), shift, unit }
}

/** The largest of each group in the place of its members. */
function shared(values: Float64Array, group: Int32Array | undefined): Float64Array {
  if (!group) return values
  const largest = new Map<number, number>()
  for (const [j, x] of values.entries()) {
    const key = group[j] as number
    largest.set(key, Math.max(x, largest.get(key) ?? 0))
  }
  return values.map((_, j) => largest.get(group[j] as number) as number)
}

/** Undefined where nothing is larger than 0, or something is not a number. */
function raised(values: Float64Array): Float64Array | undefined {
  const largest = values.reduce((a, b) => Math.max(a, b), 0)
  return largest > 0 && Number.isFinite(largest) ? values.map((x) => Math.max(x, largest * floor)) : undefined
}
