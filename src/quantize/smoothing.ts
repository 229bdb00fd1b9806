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
  readonly dynamic?: boolean
  readonly normalised?: boolean
}

/** Below this part of the largest, a magnitude counts as the mean of the others: dead channels take no part in the balance. */
const floor = 1e-5

/**
 * Below this part of the geometric mean of its channels, an activation counts as this part: what was small at calibration
 * need not be small elsewhere. A channel that slept would be enlarged for it, and clipped when it wakes up. Normalised
 * channels do not sleep.
 */
const sleepingFloor = 1

/** The same where ranges are taken while the model runs: a channel that wakes up sets the range of all, and none is clipped. */
const dynamicFloor = 0.1

/**
 * How much of each channel's size moves from the activation into the weights that read it.
 *
 * `scale_j = max|x_j - shift_j|^alpha / max|w_j|^(1 - alpha)`, divided by its geometric mean, where w_j is row j of all
 * weights together. Source: SmoothQuant (arXiv 2211.10438), equation 4.
 *
 * `shift_j = (min_j + max_j) / 2` where `symmetric`. Source: the symmetrization of OutlierTune (arXiv 2406.18832).
 *
 * Channels of one `group` get one scale; `dynamic` says that ranges are not those of calibration. Activations that are small
 * at calibration count as the geometric mean of all; if `normalised` as they are, if `dynamic` as a tenth of it.
 *
 * With `unit`, `scale_j = max|x_j - shift_j| / 127`: an integer of the result is a step of its channel, and the weights hold
 * the scales. Source: the pre-executed dequantization of OutlierTune.
 */
export function migrationOf(
  channels: ChannelStatistics,
  products: readonly Pick<WeightProduct, 'tensor' | 'inputAxis'>[],
  { alpha, symmetric, group, unit = false, dynamic = false, normalised = false }: MigrationWish,
): Migration | undefined {
  const { min, max } = channels
  const shift = symmetric ? min.map((low, j) => (low + (max[j] as number)) / 2) : new Float64Array(min.length)
  const centred = (x: Float64Array, j: number) => Math.abs((x[j] as number) - (shift[j] as number))
  const activation = raised(
    shared(
      min.map((_, j) => Math.max(centred(min, j), centred(max, j))),
      group,
    ),
    dynamic ? dynamicFloor : normalised ? 0 : sleepingFloor,
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

/** Undefined where nothing is larger than 0, or something is not a number; nothing is below `least` times the mean. */
function raised(values: Float64Array, least = 0): Float64Array | undefined {
  const largest = values.reduce((a, b) => Math.max(a, b), 0)
  if (!(largest > 0 && Number.isFinite(largest))) return undefined
  const alive = values.filter((x) => x > largest * floor)
  const mean = Math.exp(alive.reduce((sum, x) => sum + Math.log(x), 0) / alive.length)
  return values.map((x) => (x > largest * floor ? Math.max(x, least * mean) : mean))
}
