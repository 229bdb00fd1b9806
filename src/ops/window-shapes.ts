/** Convolution, pooling and recurrent networks. */
import type { Node } from '../ir/index.ts'
import type { Facts } from './facts.ts'
import type { ShapeRule } from './shapes.ts'
import { made, shapeAt } from './shapes.ts'
import type { Size } from './size.ts'
import { addSizes, timesSizes } from './size.ts'

/** Convolution: batch of the data, channels of the weight, spatial sizes unknown. */
export const convShape: ShapeRule = (node, facts) => {
  const data = shapeAt(node, 0, facts)
  const weight = shapeAt(node, 1, facts)
  const rank = weight?.length ?? data?.length
  if (rank === undefined) return undefined
  const group = facts.int(node, 'group') ?? 1
  const channels = node.opType === 'ConvTranspose' ? weight && timesSizes(weight[1] as Size, group) : weight?.[0]
  return Array.from({ length: rank }, (_, i) => {
    if (i === 0) return data?.[0] ?? made(node, 0)
    if (i === 1) return channels ?? made(node, 1)
    return windowedSize(node, i - 2, data?.[i], weight?.[i], facts) ?? made(node, i)
  })
}

/** Size of a spatial axis after a sliding window: `floor((size + pads - dilation * (kernel - 1) - 1) / stride) + 1`. */
function windowedSize(
  node: Node,
  axis: number,
  size: Size | undefined,
  weight: Size | undefined,
  facts: Facts,
): Size | undefined {
  const kernel = facts.ints(node, 'kernel_shape')?.[axis] ?? weight
  const stride = facts.ints(node, 'strides')?.[axis] ?? 1
  const padding = facts.attribute(node, 'auto_pad')
  if (size === undefined || typeof kernel !== 'number' || node.opType === 'ConvTranspose') return undefined
  if (padding?.kind === 'string' && padding.value.startsWith('SAME'))
    return stride === 1 ? size : typeof size === 'number' ? Math.ceil(size / stride) : undefined
  const pads = facts.ints(node, 'pads') ?? []
  const spatial = pads.length / 2
  const dilation = facts.ints(node, 'dilations')?.[axis] ?? 1
  const rest = (pads[axis] ?? 0) + (pads[axis + spatial] ?? 0) - dilation * (kernel - 1)
  if (stride === 1) return addSizes(size, rest)
  if (typeof size !== 'number') return undefined
  const steps = (size + rest - 1) / stride
  return ((facts.int(node, 'ceil_mode') ?? 0) !== 0 ? Math.ceil(steps) : Math.floor(steps)) + 1
}

/** Pooling and resizing: rank, batch and channels of the input. */
export const poolShape: ShapeRule = (node, facts) => {
  const shape = shapeAt(node, 0, facts)
  const one = node.opType.startsWith('Global')
  const windowed = node.opType.endsWith('Pool')
  return shape?.map((size, i) => {
    if (i < 2) return size
    if (one) return 1
    return (windowed ? windowedSize(node, i - 2, size, undefined, facts) : undefined) ?? made(node, i)
  })
}

/** LSTM, GRU, RNN: [T, directions, B, hidden]. */
export const recurrentShape: ShapeRule = (node, facts, output) => {
  const shape = shapeAt(node, 0, facts)
  const hidden = facts.int(node, 'hidden_size')
  const directions = facts.attribute(node, 'direction')
  const two = directions?.kind === 'string' && directions.value === 'bidirectional' ? 2 : 1
  if (output === 0) return [shape?.[0] ?? made(node, 0), two, shape?.[1] ?? made(node, 2), hidden ?? made(node, 3)]
  return [two, shape?.[1] ?? made(node, 1, output), hidden ?? made(node, 2, output)]
}
