import type { DType, Node, Value } from '../ir/index.ts'
import { dtypes } from '../ir/index.ts'

/** Operators whose result has a type of its own, whatever they read. */
const fixed: ReadonlyMap<string, DType> = new Map([
  ...['Shape', 'Size', 'NonZero', 'ArgMax', 'ArgMin'].map((op) => [op, dtypes.int64] as const),
  ...['Equal', 'Greater', 'GreaterOrEqual', 'Less', 'LessOrEqual', 'And', 'Or', 'Xor', 'Not', 'IsNaN', 'IsInf'].map(
    (op) => [op, dtypes.bool] as const,
  ),
])

/** The inputs that have the type of the result, where these are not the first alone. */
const sameType: ReadonlyMap<string, readonly number[]> = new Map([
  ...['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Pow', 'MatMul', 'Gemm', 'Concat', 'Einsum', 'com.microsoft::FusedMatMul'].map(
    (op) => [op, [0, 1]] as const,
  ),
  ['CastLike', [1]],
  ['DequantizeLinear', [1]],
  ['Where', [1, 2]],
  ['Conv', [0, 1]],
  ['LayerNormalization', [0, 1]],
  ['Attention', [0, 1, 2]],
  ['com.microsoft::Attention', [0, 1, 2]],
  ['com.microsoft::BiasGelu', [0, 1]],
  ['com.microsoft::DequantizeLinear', [1]],
  ['com.microsoft::DynamicQuantizeMatMul', [2]],
  ['com.microsoft::EmbedLayerNormalization', [2]],
  ['com.microsoft::MatMulIntegerToFloat', [2]],
  ['com.microsoft::MultiHeadAttention', [0, 1, 2, 3]],
  ['com.microsoft::SkipLayerNormalization', [0, 1, 2]],
])

/**
 * The element type of a value: the declared one, or the one its producers imply. `undefined` where an operator is met whose
 * rule is not known here (one that reads several types and declares none).
 */
export function elementTypeOf(value: Value): DType | undefined {
  const seen = new Set<Value>()
  const open = [value]
  for (let at = open.pop(); at; at = open.pop()) {
    if (at.dtype !== undefined) return at.dtype
    const node = at.producer
    if (!node || seen.has(at)) continue
    seen.add(at)
    const known = resultType(node)
    if (known !== undefined) return known
    open.push(...sources(node))
  }
  return undefined
}

function resultType(node: Node): DType | undefined {
  if (node.op === 'Cast') return node.int('to')
  if (node.op === 'Constant') {
    const tensor = node.attributes.get('value')
    if (tensor?.kind === 'tensor') return tensor.value.dtype
    return node.attributes.has('value_float') || node.attributes.has('value_floats') ? dtypes.float : dtypes.int64
  }
  if (node.op === 'ConstantOfShape') {
    const tensor = node.attributes.get('value')
    return tensor?.kind === 'tensor' ? tensor.value.dtype : dtypes.float
  }
  return fixed.get(node.op)
}

/** The first is looked at first. */
function sources(node: Node): Value[] {
  const ports = sameType.get(node.op) ?? [0]
  return ports.flatMap((port) => node.input(port) ?? []).reverse()
}
