import { dtypes } from '../ir/index.ts'
import type { ImportTrap } from './build-traps.ts'

const { int32, int64, bool, uint8, int8 } = dtypes
const built = 'One node of each operator in each type was built with TensorRT-RTX 1.7.1.'

/** What TensorRT's ONNX parser refuses or reads otherwise, beyond operators and types that it does not have at all. */
export const tensorrtTraps: readonly ImportTrap[] = [
  {
    code: 'integer-product',
    severity: 'error',
    symptom: 'input-type',
    ops: ['MatMul', 'Gemm', 'ReduceL2'],
    types: [int32, int64],
    message: 'is not imported on integers',
    advice: 'Put Casts to float around it.',
    source: built,
  },
  {
    code: 'integer-relu',
    severity: 'error',
    symptom: 'input-type',
    ops: ['Relu'],
    types: [int32],
    message: 'is not imported on int32',
    advice: 'Write it as Max with 0, or on int64.',
    source: built,
  },
  {
    code: 'bool-reduction',
    severity: 'error',
    symptom: 'input-type',
    ops: ['ReduceMax', 'ReduceMin'],
    types: [bool],
    message: 'is not imported on booleans',
    advice: 'Put Casts to int32 around it.',
    source: built,
  },
  {
    code: 'integer-modulo',
    severity: 'error',
    symptom: 'input-type',
    ops: ['Mod'],
    types: [int8],
    message: 'is not imported on int8',
    advice: 'Put Casts to int32 around it.',
    source: built,
  },
  {
    code: 'uint8-arithmetic',
    severity: 'error',
    symptom: 'input-type',
    ops: (
      'Abs Sign Transpose Add Sub Mul Div Mod Max Min Less Greater LessOrEqual GreaterOrEqual Concat ArgMax Gather GatherElements ' +
      'GatherND Reshape Expand Tile Unsqueeze Pad Trilu Where Clip ReduceMax ReduceMin Slice'
    ).split(' '),
    types: [uint8],
    message: 'is not imported on uint8',
    advice: 'Cast to int32 or float first: Cast and DequantizeLinear are what takes uint8.',
    source: built,
  },
  {
    code: 'zero-point',
    severity: 'error',
    symptom: 'zero-point',
    message: 'has a zero point other than 0',
    advice: 'Quantize symmetrically: signed integers, every zero point 0.',
    source:
      'Built with TensorRT-RTX 1.7.1: "Non-zero zero point is not supported", for signed and unsigned types, activations and weights.',
  },
  {
    code: 'quantized-type',
    severity: 'error',
    symptom: 'quantized-type',
    types: [int32, dtypes.int16, dtypes.uint16, dtypes.uint4, dtypes.float8e5m2],
    message: 'is not imported in this type',
    advice: 'Quantize to int8, int4, float8e4m3fn or float4e2m1, and leave biases in float.',
    source: 'Built with TensorRT-RTX 1.7.1: a DequantizeLinear of int32, as biases are stored, is an invalid node.',
  },
  {
    code: 'scale-not-positive',
    severity: 'error',
    symptom: 'scale-not-positive',
    message: 'has a scale that is not above 0',
    advice: 'Give channels that are all 0 a scale of 1.',
    source: 'Built with TensorRT-RTX 1.7.1: "Scale coefficients must all be positive".',
  },
  {
    code: 'slice-without-axes',
    severity: 'error',
    symptom: 'slice-without-axes',
    message: 'names no axes, and has fewer starts than its input has axes',
    advice: 'Give the axes, which the standard lets one leave out.',
    source: 'Built with TensorRT-RTX 1.7.1: "The shape of input starts misaligns with the shape of input axes".',
  },
  {
    code: 'read-as-another',
    severity: 'error',
    symptom: 'read-as-another',
    ops: ['com.microsoft::Attention', 'com.microsoft::RotaryEmbedding'],
    message: 'is read as the operator of this name of the standard, which has other inputs',
    advice: 'Export it in plain operators; converting to this target opens attention.',
    source: 'Read in the parser: operators are looked up without their domain.',
  },
  {
    code: 'undocumented-operator',
    severity: 'warning',
    symptom: 'undocumented',
    message: 'is taken by the parser of TensorRT-RTX, and no document promises it for TensorRT',
    advice: 'Try it, or export it in operators of the standard.',
    source: 'Built with TensorRT-RTX 1.7.1, one node of each operator.',
  },
  {
    code: 'attention-part',
    severity: 'error',
    symptom: 'attention-part',
    message: 'is not imported',
    advice:
      'Export attention in plain operators, or convert to this target, which opens the operator where it gets a sink.',
    source:
      'Read in the importer: one output, no past keys, softcap, softmax_precision or nonpad_kv_seqlen; with TensorRT-RTX 1.7.1 a soft cap was refused, and of MultiHeadAttention the inputs bias and key_padding_mask.',
  },
  {
    code: 'rank-above-8',
    severity: 'error',
    symptom: 'rank-above-8',
    message: 'has more than 8 dimensions',
    advice: 'Put dimensions together with Reshape.',
    source: 'Built with TensorRT-RTX 1.7.1: 8 dimensions are taken, 9 are not.',
  },
  {
    code: 'dimension-above-int32',
    severity: 'error',
    symptom: 'dimension-above-int32',
    message: 'has a dimension of 2147483648 or more',
    advice: 'Split the dimension in two.',
    source:
      'Built with TensorRT-RTX 1.7.1: an input of one such dimension is refused; more elements than that in several dimensions are not.',
  },
  {
    code: 'double-value',
    severity: 'warning',
    symptom: 'double-value',
    types: [dtypes.double],
    message: 'is in double precision, which becomes float32',
    advice: 'Nothing, unless more than 24 bits of it count.',
    source: 'Read in the support matrix of the parser: DOUBLE is cast to FLOAT.',
  },
]
