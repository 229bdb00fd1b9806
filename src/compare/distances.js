// @ts-check
/**
 * How far two tensors are apart, and two models run together in one process, so that activations neither leave it nor
 * outlive the run.
 *
 * Plain JavaScript, so that it can be loaded from the sources and from the build alike.
 *
 * @typedef {{ readonly length: number, readonly [index: number]: number }} Numbers
 * @typedef {{ type: string, dims: readonly number[], data: Numbers | BigInt64Array | BigUint64Array | readonly string[] }} Output
 * @typedef {{ atol: number, rtol: number }} Within
 * @typedef {{ count: number, maxAbs: number, sumAbs: number, sumSize: number, largest: number,
 *   aa: number, bb: number, ab: number, noise: number, notFinite: number, neither: number, outside: number }} Distance
 * @typedef {(feeds: Record<string, any>, fetches: readonly string[]) => Promise<Record<string, Output>>} Run
 * @typedef {{ a: string, b: string }} Pair
 * @typedef {{ fetchesA: readonly string[], fetchesB: readonly string[], fetchesCut: readonly string[],
 *   fed: readonly { from: string, to: string }[], pairs: readonly Pair[],
 *   inputsA: readonly string[], inputsB: readonly string[], inputsCut: readonly string[] }} Plan
 */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** A magnitude beyond this stands for "minus infinity", in masks and masked scores. */
const hidden = 1e30
/** What stands for it in another precision, a score added to it, is no smaller. */
const leastHidden = 1e3

/**
 * Sums over a pair of vectors. Where one is no number, or hides what the other shows, the pair counts as `notFinite` and
 * is as wrong as can be: of the mean magnitude of all, and of opposite sign. Where both are no number it counts as `neither`
 * and as nothing else.
 *
 * @param {Numbers} a
 * @param {Numbers} b as long as `a`
 * @param {Within} [within] an element is outside where its distance exceeds `atol`, and `rtol` of the element too
 * @returns {Distance}
 */
export function distanceOf(a, b, within) {
  let [count, maxAbs, sumAbs, sumSize, largest] = [0, 0, 0, 0, 0]
  let [aa, bb, ab, noise, notFinite, neither, outside] = [0, 0, 0, 0, 0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    const x = /** @type {number} */ (a[i])
    const y = /** @type {number} */ (b[i])
    const size = Math.abs(x)
    const other = Math.abs(y)
    if (!(size < hidden && other < hidden)) {
      const areHidden = (x <= -hidden && y <= -leastHidden) || (y <= -hidden && x <= -leastHidden)
      if (Number.isNaN(x) && Number.isNaN(y)) neither++
      else if (!areHidden && !(x >= hidden && y >= hidden)) notFinite++
      continue
    }
    const d = Math.abs(x - y)
    count++
    sumAbs += d
    sumSize += size
    if (d > maxAbs) maxAbs = d
    if (size > largest) largest = size
    aa += x * x
    bb += y * y
    ab += x * y
    noise += d * d
    if (within !== undefined && d > within.atol && !(d <= within.rtol * size)) outside++
  }
  if (notFinite > 0) {
    const square = aa > 0 ? aa / count : 1
    const size = Math.sqrt(square)
    count += notFinite
    sumAbs += 2 * size * notFinite
    sumSize += size * notFinite
    maxAbs = Math.max(maxAbs, 2 * size)
    aa += square * notFinite
    bb += square * notFinite
    ab -= square * notFinite
    noise += 4 * square * notFinite
    if (within !== undefined) outside += notFinite
  }
  return { count, maxAbs, sumAbs, sumSize, largest, aa, bb, ab, noise, notFinite, neither, outside }
}

/**
 * The elements of a tensor of the runtime as numbers; undefined where they are none.
 *
 * @param {Output} output
 * @returns {Numbers | undefined}
 */
export function numbersOf({ type, data }) {
  if (type === 'string') return undefined
  if (type === 'float16' && data instanceof Uint16Array) return Float32Array.from(data, (bits) => halves()[bits] ?? 0)
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return Float64Array.from(data, Number)
  return /** @type {Numbers} */ (data)
}

/** @type {Float32Array | undefined} */
let halfTable

/** Every half precision number by its bits. */
function halves() {
  halfTable ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => {
    const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023]
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15))
  })
  return halfTable
}

/**
 * Runs both models on a sample, and the second one in parts that are fed with tensors of the first: how far its tensors
 * are from those of the first, and how far they would be if all before them were right.
 *
 * @param {readonly Run[]} runs three: of the first model, the second, and its parts
 * @param {Record<string, any>} feeds
 * @param {Plan} plan
 * @returns {Promise<readonly { cumulative: Distance | undefined, introduced: Distance | undefined }[]>}
 */
export async function work(runs, feeds, plan) {
  const [runA, runB, runCut] = /** @type {[Run, Run, Run]} */ (runs)
  const given = (/** @type {readonly string[]} */ names) => Object.fromEntries(names.map((name) => [name, feeds[name]]))
  const a = await runA(given(plan.inputsA), plan.fetchesA)
  const cumulative = distances(a, await runB(given(plan.inputsB), plan.fetchesB), plan.pairs)
  const fed = Object.fromEntries(plan.fed.map(({ from, to }) => [to, a[from]]))
  const introduced = distances(a, await runCut({ ...given(plan.inputsCut), ...fed }, plan.fetchesCut), plan.pairs)
  freeMemory()
  return cumulative.map((distance, i) => ({ cumulative: distance, introduced: introduced[i] }))
}

/** @type {(() => void) | undefined} */
let garbage

/**
 * Frees what nobody needs any more: tensors, whose memory the runtime owns, so that the collector of garbage sees nothing
 * of it, and graphs.
 */
export function freeMemory() {
  if (garbage === undefined) {
    setFlagsFromString('--expose-gc')
    garbage = /** @type {() => void} */ (runInNewContext('gc'))
  }
  garbage()
}

/**
 * @param {Record<string, Output>} first
 * @param {Record<string, Output>} second
 * @param {readonly Pair[]} pairs
 * @returns {(Distance | undefined)[]} undefined where the shapes differ
 */
function distances(first, second, pairs) {
  return pairs.map(({ a: nameA, b: nameB }) => {
    const [x, y] = [first[nameA], second[nameB]]
    const [a, b] = [x && numbersOf(x), y && numbersOf(y)]
    const alike = x && y && String(x.dims) === String(y.dims)
    return a && b && alike ? distanceOf(a, b) : undefined
  })
}
