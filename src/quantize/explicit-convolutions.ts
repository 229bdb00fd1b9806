import type { Model, Node, Tensor, Value } from '../ir/index.ts'
import { dtypeName, dtypes } from '../ir/index.ts'
import type { Facts } from '../ops/index.ts'
import { constantTensor, dtypeOf } from '../ops/index.ts'
import type { Axis } from './matrix.ts'
import type { FloatProduct } from './products.ts'

/** A convolution with a constant weight that tensor cores of 8 bits take. */
export interface ExplicitConvolution {
  readonly node: Node
  readonly input: Value
  readonly weight: Tensor
  /** Axis of the output channels: 0, or 1 of a ConvTranspose. */
  readonly axis: Axis
}

/** Fewest channels on either side: less does not fill a tensor core, and first layers read pictures as they are. */
const leastChannels = 16

/**
 * The convolutions of the main graph whose weights a compiler of explicit Q/DQ is given in 8 bits, and why not the others.
 *
 * Grouped ones stay as they are: a channel of their own has few weights, and 8 bits cost accuracy there and win no time.
 */
export function findExplicitConvolutions(
  model: Model,
  facts: Facts,
): { readonly convolutions: readonly ExplicitConvolution[]; readonly float: readonly FloatProduct[] } {
  const convolutions: ExplicitConvolution[] = []
  const float: FloatProduct[] = []
  for (const node of model.graph.nodes()) {
    const weight = node.op === 'Conv' || node.op === 'ConvTranspose' ? constantTensor(node.input(1)) : undefined
    if (!weight) continue
    const found = convolutionOf(node, weight, facts)
    if (typeof found === 'string') float.push({ node, reason: found })
    else convolutions.push(found)
  }
  return { convolutions, float }
}

function convolutionOf(node: Node, weight: Tensor, facts: Facts): ExplicitConvolution | string {
  const input = node.input(0)
  if (!input || facts.isConstant(input)) return 'reads a constant'
  const dtype = dtypeOf(input) ?? weight.dtype
  if (weight.dtype !== dtypes.float || dtype !== dtypes.float)
    return `computes in ${dtypeName(dtype) ?? 'an unknown type'}; it is quantized from float`
  if ((node.int('group') ?? 1) !== 1) return 'works in groups, where 8 bits cost accuracy and win no time'
  if (Math.min(...weight.dims.slice(0, 2)) < leastChannels) return 'has too few channels for tensor cores of 8 bits'
  const shape = facts.shape(input)
  if (shape?.slice(2).every((size) => size === 1)) return 'sees one position, of a gate'
  return { node, input, weight, axis: node.op === 'Conv' ? 0 : 1 }
}
