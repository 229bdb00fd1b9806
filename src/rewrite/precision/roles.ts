/**
 * In which precision each operator computes when a model is lowered to half precision: sums and what is made of them, powers,
 * exponentials, positions and their angles stay in single precision; everything else does not.
 */
import type { Node, Value } from '../../ir/index.ts'
import { dtypes, isFloat } from '../../ir/index.ts'
import { constantTensor, dtypeOf, recordOf } from '../../ops/index.ts'

/**
 * What a value is in single precision for. `statistic`: sums of many elements (the mean and the variance of a norm, the
 * denominator of a softmax), which pull the arithmetic they enter along. `exact`: integers and functions of them (positions,
 * masks), which do not. `edge`: it only happens to be in single precision.
 */
export type Wide = 'statistic' | 'exact' | 'edge'

/** Sums of many elements and functions that leave the range of half precision: (300)² is infinite in it. */
const statistics = new Set(
  `CumSum Exp GroupNormalization InstanceNormalization Log LpNormalization MeanVarianceNormalization Pow Reciprocal ReduceL1 ReduceL2
   ReduceLogSum ReduceLogSumExp ReduceMean ReduceProd ReduceSum ReduceSumSquare Sqrt`.split(/\s+/),
)
/** Of positions: in half precision not every integer above 2048 is there. */
const angles = new Set(['Cos', 'Range', 'Sin'])
const elementwise = new Set('Abs Add Clip Div Max Mean Min Mul Neg Sub Sum Where'.split(' '))
/** Operators whose standard or whose kernels know single precision only. */
const singleOnly = new Set(
  'Bernoulli BlackmanWindow DynamicQuantizeLinear HammingWindow HannWindow MelWeightMatrix NonMaxSuppression RoiAlign STFT'.split(
    ' ',
  ),
)
/** Inputs that are single precision whatever the data is. */
const singlePorts: Readonly<Record<string, readonly number[]>> = { Resize: [1, 2], Upsample: [1] }

export interface Role {
  /** Whether the node computes in single precision. */
  readonly wide: boolean
  /** Of what it gives, when that is in single precision. */
  readonly gives: Wide | undefined
}

const narrow: Role = { wide: false, gives: undefined }

/** The role of a node, by what it reads: `wideOf` says which inputs are in single precision, and for what. */
export function roleOf(node: Node, opset: number, local: boolean, wideOf: (value: Value) => Wide | undefined): Role {
  if (local || node.domain === 'outeffhop') return narrow
  const scaled = (node.opType === 'QuantizeLinear' || node.opType === 'DequantizeLinear') && opset < 19
  if (node.domain !== '' || singleOnly.has(node.opType) || scaled) return { wide: true, gives: 'edge' }
  if (statistics.has(node.op)) return { wide: true, gives: 'statistic' }
  if (angles.has(node.op)) return { wide: true, gives: 'exact' }
  if (node.op === 'Cast') return castRole(node)
  const inputs = node.inputs.filter((value) => value !== undefined && isData(value))
  const kinds = inputs.map((value) => wideOf(value as Value))
  const carries = elementwise.has(node.op) || recordOf(node)?.passage === 'layout' || node.op === 'Expand'
  if (carries && kinds.includes('statistic'))
    return { wide: true, gives: kinds.every((kind) => kind === 'statistic' || kind === 'exact') ? 'statistic' : 'edge' }
  const isExact = kinds.length > 0 && kinds.every((kind) => kind === 'exact')
  return isExact && (carries || node.op === 'MatMul') ? { wide: true, gives: 'exact' } : narrow
}

/** Integers are made exact numbers; what a model in half precision computes in single precision stays so. */
function castRole(node: Node): Role {
  if (node.int('to') !== dtypes.float) return narrow
  const from = node.input(0) && dtypeOf(node.input(0) as Value)
  if (from === undefined || from === dtypes.float || from === dtypes.double) return narrow
  return isFloat(from) ? { wide: true, gives: 'statistic' } : { wide: true, gives: 'exact' }
}

/** Whether a number of the model itself, or of its input: constants are there in either precision. */
function isData(value: Value): boolean {
  return constantTensor(value) === undefined && dtypeOf(value) === dtypes.float
}

/** Whether an input must be in single precision. */
export function needsSingle(node: Node, port: number, role: Role): boolean {
  return role.wide || (singlePorts[node.op]?.includes(port) ?? false)
}
