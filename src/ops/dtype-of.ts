import type { DType, Value } from '../ir/index.ts'
import { dtypes } from '../ir/index.ts'
import { FunctionIndex, functionOf } from './functions.ts'

/**
 * Element type of a value, from the nodes that made it where nobody declared it; `undefined` when that cannot be told, and
 * in a function whose calls pass different types.
 */
export function dtypeOf(value: Value): DType | undefined {
  return typeOf(value, { functions: new FunctionIndex(), passed: new Map() })
}

interface Search {
  readonly functions: FunctionIndex
  /** What callers pass for inputs of functions, as far as it was looked up. */
  readonly passed: Map<Value, DType | undefined>
}

function typeOf(value: Value, search: Search): DType | undefined {
  const seen = new Set<Value>()
  const open = [value]
  for (let at = open.pop(); at; at = open.pop()) {
    if (seen.has(at)) continue
    seen.add(at)
    const dtype = at.dtype !== undefined && at.dtype !== dtypes.undefined ? at.dtype : madeType(at)
    if (dtype !== undefined) return dtype
    const passed = at.producer ? undefined : passedType(at, search)
    if (passed !== undefined) return passed
    const sources = sourcesOf(at, search.functions)
    const declared = sources.find((source) => source.dtype !== undefined && source.dtype !== dtypes.undefined)
    if (declared) return declared.dtype
    open.push(...sources.reverse())
  }
  return undefined
}

/** The type an operator gives whatever it reads. */
function madeType(value: Value): DType | undefined {
  const node = value.producer
  if (!node) return undefined
  const index = node.outputs.indexOf(value)
  const fixed = index === 0 ? results.get(node.op) : further.get(node.op)?.[index]
  if (fixed !== undefined) return fixed
  switch (node.op) {
    case 'Cast':
      return node.int('to')
    case 'Constant': {
      const { attributes } = node
      const tensor = attributes.get('value')
      if (tensor?.kind === 'tensor') return tensor.value.dtype
      if (attributes.has('value_int') || attributes.has('value_ints')) return dtypes.int64
      return attributes.has('value_float') || attributes.has('value_floats') ? dtypes.float : undefined
    }
    case 'ConstantOfShape': {
      const fill = node.attributes.get('value')
      return fill?.kind === 'tensor' ? fill.value.dtype : dtypes.float
    }
    default:
      return undefined
  }
}

/** Values of the same element type that a value is made of, the surest first. */
function sourcesOf(value: Value, functions: FunctionIndex): Value[] {
  const node = value.producer
  if (!node) return []
  const callee = functions.callee(node)
  if (callee) return [callee.body.outputs[node.outputs.indexOf(value)]].filter((result) => result !== undefined)
  if (node.op === 'If') {
    const index = node.outputs.indexOf(value)
    return node.subgraphs.flatMap((graph) => graph.outputs[index] ?? [])
  }
  // What an operator of another domain gives is not known from what it takes.
  const ports = typedBy.get(node.op) ?? (known.has(node.domain) ? [0] : [])
  return ports.flatMap((port) => node.input(port) ?? [])
}

/** The type that every caller of a function passes for one of its inputs. */
function passedType(value: Value, search: Search): DType | undefined {
  const { functions, passed } = search
  if (passed.has(value)) return passed.get(value)
  const fn = functionOf(value.graph)
  const index = fn?.body.inputs.indexOf(value) ?? -1
  if (!fn || index < 0) return undefined
  const [first, ...more] = functions.callers(fn).flatMap((call) => call.input(index) ?? [])
  // The result of one call may be passed to the next: the type of the first is assumed while the others are looked at.
  passed.set(value, undefined)
  const type = first && typeOf(first, search)
  passed.set(value, type)
  if (more.every((argument) => typeOf(argument, search) === type)) return type
  passed.clear()
  passed.set(value, undefined)
  return undefined
}

const known = new Set(['', 'com.microsoft', 'outeffhop'])

const bool = ['And', 'Or', 'Not', 'Xor', 'Equal', 'Less', 'Greater', 'LessOrEqual', 'GreaterOrEqual', 'IsNaN', 'IsInf']
const int64 = ['Shape', 'Size', 'NonZero', 'ArgMax', 'ArgMin']
const results: ReadonlyMap<string, DType> = new Map([
  ...bool.map((op) => [op, dtypes.bool] as const),
  ...int64.map((op) => [op, dtypes.int64] as const),
  ['MatMulInteger', dtypes.int32],
  ['ConvInteger', dtypes.int32],
  ['DynamicQuantizeLinear', dtypes.uint8],
  ['com.microsoft::MatMulIntegerToFloat', dtypes.float],
  ['com.microsoft::DynamicQuantizeMatMul', dtypes.float],
])

/** Types of the outputs behind the first, of operators that give several. */
const further: ReadonlyMap<string, readonly (DType | undefined)[]> = new Map([
  ['TopK', [undefined, dtypes.int64]],
  ['MaxPool', [undefined, dtypes.int64]],
  ['Unique', [undefined, dtypes.int64, dtypes.int64, dtypes.int64]],
  ['Dropout', [undefined, dtypes.bool]],
  ['DynamicQuantizeLinear', [undefined, dtypes.float, dtypes.uint8]],
])

/** Inputs that have the type of the result, where that is not input 0 alone. */
const typedBy: ReadonlyMap<string, readonly number[]> = new Map<string, readonly number[]>([
  ...['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Sum', 'MatMul', 'Gemm', 'Einsum', 'Concat', 'Conv', 'Mod'].map(
    (op) => [op, [0, 1]] as const,
  ),
  ['Where', [1, 2]],
  ['OneHot', [2]],
  ['DequantizeLinear', [1]],
  ['QuantizeLinear', [2]],
  ['CastLike', [1]],
  ['QLinearMatMul', [7]],
  ['QLinearConv', [7]],
  ['com.microsoft::DequantizeLinear', [1]],
  ['com.microsoft::QuantizeLinear', [2]],
  ['com.microsoft::EmbedLayerNormalization', [2]],
])
