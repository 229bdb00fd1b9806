/** Shapes of what fused transformer operators give out, so that what follows them has a rank. */
import type { Node } from '../ir/index.ts'
import type { ShapeRule } from './shapes.ts'
import { shapeAt } from './shapes.ts'
import type { Size } from './size.ts'
import { divideSizes, timesSizes } from './size.ts'
import { axisSymbol } from './symbols.ts'

function made(node: Node, output: number, axis: number): Size {
  const value = node.output(output)
  return value ? axisSymbol(value, axis) : 1
}

/** com.microsoft::EmbedLayerNormalization: [B, S, E], the number of tokens of each row [B], [B, S, E]. */
export const embedShape: ShapeRule = (node, facts, output) => {
  const ids = shapeAt(node, 0, facts)
  const [batch, length] = ids ?? [made(node, 0, 0), made(node, 0, 1)]
  if (output === 1) return [batch as Size]
  return [batch as Size, length as Size, shapeAt(node, 2, facts)?.at(-1) ?? made(node, output, 2)]
}

/** com.microsoft::SkipLayerNormalization and relatives: the result and the sum have the shape of the input. */
export const skipShape: ShapeRule = (node, facts, output) =>
  output === 0 || output === 3 ? shapeAt(node, 0, facts) : undefined

/** com.microsoft::Attention: [B, S, Ev] and present [2, B, H, T, D]. */
export const mergedAttentionShape: ShapeRule = (node, facts, output) => {
  const [batch, length] = shapeAt(node, 0, facts) ?? [made(node, output, 0), made(node, output, 1)]
  const hidden = facts.ints(node, 'qkv_hidden_sizes')?.[2] ?? third(shapeAt(node, 1, facts)?.at(-1))
  if (output === 0) return [batch as Size, length as Size, hidden ?? made(node, 0, 2)]
  const heads = facts.int(node, 'num_heads') ?? made(node, output, 2)
  return [
    2,
    batch as Size,
    heads,
    made(node, output, 3),
    (hidden && divideSizes(hidden, heads)) ?? made(node, output, 4),
  ]
}

function third(size: Size | undefined): Size | undefined {
  return size === undefined ? undefined : divideSizes(size, 3)
}

/** com.microsoft::MultiHeadAttention: [B, S, Ev], present keys and values [B, H, T, size], scores [B, H, S, T]. */
export const multiHeadShape: ShapeRule = (node, facts, output) => {
  const heads = facts.int(node, 'num_heads') ?? made(node, output, 1)
  const [batch, length] = shapeAt(node, 0, facts) ?? [made(node, output, 0), made(node, output, 1)]
  if (output === 3) return [batch as Size, heads, length as Size, made(node, 3, 3)]
  const source = output === 1 ? 1 : 2
  const size = headSize(shapeAt(node, source, facts) ?? shapeAt(node, 0, facts), heads)
  if (output === 0)
    return [batch as Size, length as Size, size === undefined ? made(node, 0, 2) : timesSizes(heads, size)]
  return [batch as Size, heads, made(node, output, 2), size ?? made(node, output, 3)]
}

/** Size of a head in [B, S, H*D], [B, H, S, D] or a packed [B, S, H, n, D]. */
function headSize(shape: readonly Size[] | undefined, heads: Size): Size | undefined {
  const last = shape?.at(-1)
  return last === undefined ? undefined : shape?.length === 3 ? divideSizes(last, heads) : last
}

/** com.microsoft::GroupQueryAttention: [B, S, H*D], present keys and values [B, Hk, T, D]. */
export const groupQueryShape: ShapeRule = (node, facts, output) => {
  const query = shapeAt(node, 0, facts)
  const [batch, length] = query ?? [made(node, output, 0), made(node, output, 1)]
  const heads = facts.int(node, 'num_heads')
  const kvHeads = facts.int(node, 'kv_num_heads')
  const packed = node.input(1) === undefined
  const all = packed ? (heads ?? 0) + 2 * (kvHeads ?? 0) : heads
  const last = query?.at(-1)
  const size = last === undefined || !all ? undefined : divideSizes(last, all)
  if (output === 0)
    return [batch as Size, length as Size, size === undefined || !heads ? made(node, 0, 2) : timesSizes(size, heads)]
  if (output > 2) return [batch as Size, heads ?? made(node, output, 1), length as Size, made(node, output, 3)]
  return [batch as Size, kvHeads ?? made(node, output, 1), made(node, output, 2), size ?? made(node, output, 3)]
}

/** ai.onnx Attention: like the query with the head size of the values, present keys and values, scores. */
export const onnxAttentionShape: ShapeRule = (node, facts, output) => {
  const query = shapeAt(node, 0, facts)
  if (!query) return undefined
  const value = shapeAt(node, 2, facts)
  const packed = query.length === 3
  const heads: Size | undefined = packed ? facts.int(node, 'q_num_heads') : query[1]
  const kvHeads: Size | undefined = packed ? facts.int(node, 'kv_num_heads') : value?.[1]
  const last = value?.at(-1)
  const size =
    packed && last !== undefined && kvHeads !== undefined ? divideSizes(last, kvHeads) : packed ? undefined : last
  const batch = query[0] as Size
  const length = query.at(-2) as Size
  if (output === 0 && packed)
    return [batch, length, size === undefined || heads === undefined ? made(node, 0, 2) : timesSizes(size, heads)]
  if (output === 0) return [batch, heads as Size, length, size ?? made(node, 0, 3)]
  const all = (output === 3 ? heads : kvHeads) ?? made(node, output, 1)
  if (output === 3) return [batch, all, length, made(node, 3, 3)]
  const own = output === 2 ? size : packed ? undefined : query[3]
  return [batch, all, made(node, output, 2), own ?? made(node, output, 3)]
}
