import type { Node, Tensor, Value } from '../../ir/index.ts'
import { constantTensor } from '../../ops/index.ts'

/** `y = scale * x + shift`, each one number for all channels or one per channel (axis 1). */
export interface Affine {
  readonly scale: readonly number[]
  readonly shift: readonly number[]
}

/** A node that computes an affine function of one of its inputs. */
export interface AffineStep {
  readonly node: Node
  readonly input: Value
  readonly output: Value
  readonly affine: Affine
  /** Rank of the largest constant: the result has the rank of the input where that is not smaller. */
  readonly rank: number
}

/**
 * What a node does to an input when it is affine per channel: Add, Sub, Mul and Div by a constant, and BatchNormalization
 * at inference. `rank` is the rank of the input, of which the constants may vary along axis 1 only.
 */
export function affineStep(node: Node, port: number, rank: number): AffineStep | undefined {
  const [input, output] = [node.input(port), node.output()]
  if (!input || !output || node.domain !== '') return undefined
  if (node.opType === 'BatchNormalization') return port === 0 ? normalisation(node, input, output) : undefined
  const tensor = node.inputs.length === 2 ? constantTensor(node.input(1 - port)) : undefined
  const numbers = tensor && alongChannels(tensor, rank)
  const affine = numbers && arithmetic(node.opType, port, numbers)
  return affine && isBounded(affine) ? { node, input, output, affine, rank: tensor.dims.length } : undefined
}

/** What steps in a row compute together. */
export function composeSteps(steps: readonly AffineStep[]): Affine {
  return steps.reduce((whole, { affine }) => compose(whole, affine), identity)
}

const identity: Affine = { scale: [1], shift: [0] }

/** `second(first(x))`. */
function compose(first: Affine, second: Affine): Affine {
  return {
    scale: combine(first.scale, second.scale, (a, b) => a * b),
    shift: combine(
      combine(first.shift, second.scale, (a, b) => a * b),
      second.shift,
      (a, b) => a + b,
    ),
  }
}

/** The number of a channel. */
export function at(numbers: readonly number[], channel: number): number {
  return numbers[numbers.length === 1 ? 0 : channel] as number
}

/** Whether there is one number for all channels or exactly one for each of them. */
export function fits({ scale, shift }: Affine, channels: number): boolean {
  return [scale, shift].every(({ length }) => length === 1 || length === channels)
}

export function isBounded({ scale, shift }: Affine): boolean {
  return [...scale, ...shift].every(Number.isFinite)
}

function combine(a: readonly number[], b: readonly number[], f: (a: number, b: number) => number): number[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => f(at(a, i), at(b, i)))
}

function arithmetic(opType: string, port: number, c: readonly number[]): Affine | undefined {
  switch (opType) {
    case 'Add':
      return { scale: [1], shift: c }
    case 'Mul':
      return { scale: c, shift: [0] }
    case 'Sub':
      return port === 0 ? { scale: [1], shift: c.map((x) => -x) } : { scale: [-1], shift: c }
    case 'Div':
      return port === 0 ? { scale: c.map((x) => 1 / x), shift: [0] } : undefined
    default:
      return undefined
  }
}

/** The elements of a constant that broadcasts against a tensor of `rank` along axis 1 alone, or has just one element. */
function alongChannels(tensor: Tensor, rank: number): readonly number[] | undefined {
  const lead = rank - tensor.dims.length
  const varies = tensor.dims.some((dim, axis) => dim !== 1 && axis + lead !== 1)
  return lead < 0 || varies || tensor.size > largestChannels ? undefined : tensor.toNumbers()
}

const largestChannels = 1 << 16

/** `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, per channel. Source: ONNX BatchNormalization 7, 9, 14 and 15. */
function normalisation(node: Node, input: Value, output: Value): AffineStep | undefined {
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((port) => constantTensor(node.input(port))?.toNumbers())
  const trains = node.int('training_mode') === 1 || node.int('spatial') === 0
  if (!gamma || !beta || !mean || !variance || trains || node.outputs.slice(1).some((value) => value?.isUsed))
    return undefined
  const epsilon = node.float('epsilon') ?? 1e-5
  const scale = gamma.map((g, i) => g / Math.sqrt((variance[i] as number) + epsilon))
  const affine = { scale, shift: scale.map((s, i) => (beta[i] as number) - (mean[i] as number) * s) }
  return isBounded(affine) ? { node, input, output, affine, rank: 0 } : undefined
}
