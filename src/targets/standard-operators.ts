/**
 * Operators of the default domain by the opset that introduced them.
 *
 * Source: the operator schemas of the Python package onnx 1.23.2 (`onnx.defs.get_all_schemas_with_history`).
 */
const introduced: readonly (readonly [opset: number, operators: string])[] = [
  [
    1,
    `Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant Conv ConvTranspose
     DepthToSpace Div Dropout Elu Equal Exp Flatten Floor GRU Gather Gemm GlobalAveragePool GlobalLpPool
     GlobalMaxPool Greater HardSigmoid Hardmax Identity If InstanceNormalization LRN LSTM LeakyRelu Less Log
     LogSoftmax Loop LpNormalization LpPool MatMul Max MaxPool MaxRoiPool Mean Min Mul Neg Not Or PRelu Pad Pow
     RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Reciprocal ReduceL1 ReduceL2 ReduceLogSum
     ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Selu Shape
     Sigmoid Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose
     Unsqueeze Upsample Xor`,
  ],
  [7, `Acos Asin Atan Cos Multinomial Sin Tan`],
  [8, `Expand Scan`],
  [
    9,
    `Acosh Asinh Atanh Compress ConstantOfShape Cosh Erf EyeLike IsNaN MaxUnpool MeanVarianceNormalization NonZero
     OneHot Scatter Shrink Sign Sinh TfIdfVectorizer Where`,
  ],
  [
    10,
    `ConvInteger DequantizeLinear IsInf MatMulInteger Mod NonMaxSuppression QLinearConv QLinearMatMul
     QuantizeLinear Resize ReverseSequence RoiAlign StringNormalizer ThresholdedRelu`,
  ],
  [
    11,
    `BitShift ConcatFromSequence CumSum Det DynamicQuantizeLinear GatherElements GatherND Range Round
     ScatterElements ScatterND SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert
     SequenceLength SplitToSequence Unique`,
  ],
  [12, `Celu Einsum GreaterOrEqual LessOrEqual NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss`],
  [14, `HardSwish Trilu`],
  [15, `Bernoulli CastLike Optional OptionalGetElement OptionalHasElement`],
  [16, `GridSample`],
  [17, `BlackmanWindow DFT HammingWindow HannWindow LayerNormalization MelWeightMatrix STFT SequenceMap`],
  [18, `BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad Col2Im Mish`],
  [19, `DeformConv`],
  [20, `AffineGrid Gelu ImageDecoder RegexFullMatch StringConcat StringSplit`],
  [21, `GroupNormalization`],
  [23, `Attention RMSNormalization RotaryEmbedding`],
  [24, `Swish TensorScatter`],
  [26, `BitCast CumProd`],
  [27, `CausalConvWithState LinearAttention`],
  [28, `SwiGLU`],
]

/** Opset from which on an operator is no longer one. */
const removed: Readonly<Record<string, number>> = { Scatter: 11, Upsample: 10 }

const since = new Map(introduced.flatMap(([opset, names]) => names.split(/\s+/).map((name) => [name, opset] as const)))

/** The newest opset of the table. */
export const newestStandard = Math.max(...introduced.map(([opset]) => opset))

/** Opsets that hold a default-domain operator, from the first to the last; `undefined` for a name that is none. */
export function opsetsOf(opType: string): { readonly first: number; readonly last: number } | undefined {
  const first = since.get(opType)
  return first === undefined ? undefined : { first, last: (removed[opType] ?? Number.POSITIVE_INFINITY) - 1 }
}
