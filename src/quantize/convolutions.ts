import type { Model, Node, Tensor, Value } from '../ir/index.ts'
import { dtypeName, dtypes } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { constantTensor, dtypeOf } from '../ops/index.ts'
import type { FloatProduct } from './products.ts'

/** A Conv with a constant weight that int8 kernels make faster without much loss. Weight [O, I, 1…], bias [O]. */
export interface WeightConvolution {
  readonly node: Node
  readonly input: Value
  readonly output: Value
  readonly weight: Tensor
  readonly bias: Tensor | undefined
}

export interface Convolutions {
  readonly convolutions: readonly WeightConvolution[]
  readonly float: readonly FloatProduct[]
}

/** Fewest input channels, and fewest weights, of a convolution worth quantizing. */
const leastChannels = 240
const leastWeights = 1 << 14

/**
 * The convolutions of the main graph that can be quantized, and why the others with a constant weight cannot.
 *
 * Only those of a single position, without groups, over many channels: on PP-OCRv4's recogniser these hold half of the
 * weights and cost a total variation of 0.016; depthwise ones on top cost 0.14 and make it slower, and all of them 0.12.
 */
export function findConvolutions(model: Model, facts: Facts): Convolutions {
  const convolutions: WeightConvolution[] = []
  const float: FloatProduct[] = []
  for (const node of model.graph.nodes()) {
    const weight = node.op === 'Conv' ? constantTensor(node.input(1)) : undefined
    if (!weight) continue
    const found = convolutionOf(node, weight, facts)
    if (typeof found === 'string') float.push({ node, reason: found })
    else convolutions.push(found)
  }
  return { convolutions, float }
}

function convolutionOf(node: Node, weight: Tensor, facts: Facts): WeightConvolution | string {
  const [input, output] = [node.input(0), node.output()]
  const bias = constantTensor(node.input(2))
  const [outputs = 0, inputs = 0, ...kernel] = weight.dims
  if (!input || !output || (node.input(2) && !bias)) return 'has a bias that is computed, not stored'
  const dtype = dtypeOf(input) ?? weight.dtype
  if (weight.dtype !== dtypes.float || dtype !== dtypes.float)
    return `computes in ${dtypeName(dtype) ?? 'an unknown type'}; int8 kernels give float`
  if ((node.int('group') ?? 1) !== 1) return 'works in groups, where 8 bits cost accuracy and win no time'
  if (kernel.some((size) => size !== 1)) return 'has a kernel of several positions'
  if (isPadded(node)) return 'pads its input'
  if (inputs < leastChannels || inputs * outputs < leastWeights) return 'is too small to win time'
  const shape = facts.shape(input)
  if (shape?.slice(2).every((size) => size === 1)) return 'sees one position, of a gate'
  return { node, input, output, weight, bias }
}

function isPadded(node: Node): boolean {
  return (node.ints('pads') ?? []).some((pad) => pad !== 0)
}
