import type { Node, Value } from '../ir/index.ts'
import { dtypes } from '../ir/index.ts'

/** Element type of a value nobody declared, from the nodes that made it; undefined when that cannot be told. */
export function dtypeOf(value: Value, depth = 0): number | undefined {
  if (value.dtype !== undefined && value.dtype !== 0) return value.dtype
  const node: Node | undefined = value.producer
  if (!node || depth > 64) return undefined
  switch (node.opType) {
    case 'Cast':
      return node.int('to')
    case 'And':
    case 'Or':
    case 'Not':
    case 'Xor':
    case 'Equal':
    case 'Less':
    case 'Greater':
    case 'LessOrEqual':
    case 'GreaterOrEqual':
    case 'IsNaN':
    case 'IsInf':
      return dtypes.bool
    case 'Shape':
    case 'Size':
    case 'NonZero':
    case 'ArgMax':
    case 'ArgMin':
      return dtypes.int64
    case 'Constant': {
      const a = node.attributes.get('value')
      if (a?.kind === 'tensor') return a.value.dtype
      return node.attributes.has('value_float') || node.attributes.has('value_floats') ? dtypes.float : dtypes.int64
    }
    case 'ConstantOfShape': {
      const a = node.attributes.get('value')
      return a?.kind === 'tensor' ? a.value.dtype : dtypes.float
    }
    case 'Where':
      return firstType([node.input(1), node.input(2)], depth)
    case 'DequantizeLinear':
      return firstType([node.input(1)], depth)
    case 'CastLike':
      return firstType([node.input(1)], depth)
    case 'EmbedLayerNormalization':
    case 'MatMulIntegerToFloat':
      return firstType([node.input(2)], depth)
    case 'DynamicQuantizeLinear':
    case 'QuantizeLinear':
      return firstType([node.input(2)], depth)
    default:
      return firstType(node.domain === '' || node.domain === 'com.microsoft' || node.domain === 'outeffhop' ? [...node.inputs] : [], depth)
  }
}

function firstType(values: readonly (Value | undefined)[], depth: number): number | undefined {
  for (const value of values) {
    const dtype = value && dtypeOf(value, depth + 1)
    if (dtype !== undefined) return dtype
  }
  return undefined
}
