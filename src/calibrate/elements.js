// @ts-check
/**
 * What calibration does to every element of an activation, in the process of the runtime, so that activations neither
 * leave it nor outlive the run: bins are counted and moments summed, and what the graph reduced itself is passed on.
 *
 * Plain JavaScript, so that it can be loaded from the sources and from the build alike.
 *
 * @typedef {{ readonly length: number, readonly [index: number]: any }} Elements the typed array of a float tensor
 * @typedef {{ dims: readonly number[], data: any }} Output
 * @typedef {{ exponent: number, first: number, counts: Uint32Array }} Bins
 * @typedef {{ units: number, kurtosis: number, infinity: number, largest: number,
 *   count: number, mean: number, m2: number, m3: number, m4: number }} Moments
 * @typedef {{ output: string, at: number, channels: number }} Dense
 * @typedef {{ vector: string | undefined, histograms: readonly Dense[], moments: readonly string[],
 *   granularity: 'sequence' | 'token' | 'tensor' }} Plan
 */

/** Most bins a histogram has. */
export const mostBins = 4096
/** Bins are counted from 0; this far from it at most, so that an index is exact. */
const mostIndex = 2 ** 30
/** The finest bins have the width of the smallest number of single precision. */
export const leastExponent = -149

/**
 * @param {Record<string, Output>} outputs
 * @param {Plan} plan
 */
export function reduce(outputs, plan) {
  const vector = plan.vector === undefined ? new Float32Array(0) : read(outputs, plan.vector).data
  return {
    vector,
    histograms: plan.histograms.map(({ output, at, channels }) => {
      const high = largest(vector, at, at + channels)
      const low = smallest(vector, at + channels, at + 2 * channels)
      return histogram(read(outputs, output).data, low, high)
    }),
    moments: plan.moments.map((name) => momentsOf(read(outputs, name), plan.granularity)),
    memory: process.memoryUsage.rss(),
  }
}

/**
 * Counts of the elements in bins of width 2^exponent, bin `i` holding [i, i + 1) widths; undefined when an element is not
 * finite. The width is the least that covers the range in few enough bins.
 *
 * @param {Elements} data
 * @param {number} low the least element
 * @param {number} high the greatest one
 * @returns {Bins | undefined}
 */
export function histogram(data, low, high) {
  if (!(Number.isFinite(low) && Number.isFinite(high) && low <= high)) return undefined
  const exponent = exponentFor(low, high)
  const inverse = 2 ** -exponent
  // -0 and 0 are one bin, and one number in a table.
  const first = Math.floor(low * inverse) + 0
  const counts = new Uint32Array(Math.floor(high * inverse) - first + 1)
  // Floor and not a cast: a cast would put small negative numbers into the bin of the positive ones.
  for (let i = 0; i < data.length; i++) {
    const bin = Math.floor(data[i] * inverse) - first
    counts[bin] = /** @type {number} */ (counts[bin]) + 1
  }
  return { exponent, first, counts }
}

/**
 * The least exponent for which the bins of a range fit.
 *
 * @param {number} low
 * @param {number} high
 */
function exponentFor(low, high) {
  const farthest = Math.max(Math.abs(low), Math.abs(high), Number.MIN_VALUE)
  const bounds = [leastExponent, Math.log2(farthest / mostIndex) - 1, Math.log2((high - low) / mostBins) - 1]
  let exponent = Math.floor(Math.max(...bounds))
  while (!fits(Math.floor(low * 2 ** -exponent), Math.floor(high * 2 ** -exponent), mostBins)) exponent++
  return exponent
}

/**
 * Whether the bins from `first` to `last` are few enough, and near enough to 0 for their indexes to be exact.
 *
 * @param {number} first
 * @param {number} last
 * @param {number} most
 */
export function fits(first, last, most) {
  return last - first < most && first >= -mostIndex && last < mostIndex
}

/**
 * @param {Output} output
 * @param {Plan['granularity']} granularity
 * @returns {Moments}
 */
export function momentsOf({ dims, data }, granularity) {
  const whole = centralMoments(data, 0, data.length)
  const size = granularity === 'token' ? (dims.at(-1) ?? 1) : data.length
  let [kurtosis, infinity, largest, units] = [0, 0, 0, 0]
  for (let start = 0; start < data.length; start += size) {
    const unit = size === data.length ? whole : centralMoments(data, start, start + size)
    kurtosis += kurtosisOf(unit)
    infinity += unit.infinity
    largest = Math.max(largest, unit.infinity)
    units++
  }
  const { count, mean, m2, m3, m4 } = whole
  return { units, kurtosis, infinity, largest, count, mean, m2, m3, m4 }
}

/**
 * mean((x - mean)^4) / (sd^4 + 1e-6) with the unbiased deviation: 3 for Gaussian noise, 0 for a constant.
 *
 * @param {{ count: number, m2: number, m4: number }} moments sums of powers of the distance to the mean
 */
export function kurtosisOf({ count, m2, m4 }) {
  if (count < 2) return 0
  return m4 / count / ((m2 / (count - 1)) ** 2 + 1e-6)
}

/**
 * @param {Elements} data
 * @param {number} start
 * @param {number} end
 */
function centralMoments(data, start, end) {
  const count = end - start
  let [sum, infinity] = [0, 0]
  for (let i = start; i < end; i++) {
    sum += data[i]
    infinity = Math.max(infinity, Math.abs(data[i]))
  }
  const mean = sum / count
  let [m2, m3, m4] = [0, 0, 0]
  for (let i = start; i < end; i++) {
    const d = data[i] - mean
    const square = d * d
    m2 += square
    m3 += square * d
    m4 += square * square
  }
  return { count, mean, m2, m3, m4, infinity }
}

/**
 * @param {Record<string, Output>} outputs
 * @param {string} name
 */
function read(outputs, name) {
  const output = outputs[name]
  if (output === undefined) throw new Error(`the model has no output "${name}"`)
  return output
}

/**
 * @param {Elements} data
 * @param {number} start
 * @param {number} end
 */
function largest(data, start, end) {
  let found = Number.NEGATIVE_INFINITY
  for (let i = start; i < end; i++) found = Math.max(found, data[i])
  return found
}

/**
 * @param {Elements} data
 * @param {number} start
 * @param {number} end
 */
function smallest(data, start, end) {
  let found = Number.POSITIVE_INFINITY
  for (let i = start; i < end; i++) found = Math.min(found, data[i])
  return found
}
