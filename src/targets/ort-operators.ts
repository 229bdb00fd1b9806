/**
 * Operators of ONNX Runtime beyond the standard.
 *
 * Source: the schemas in the Python packages onnxruntime 1.17.3 to 1.30.0 (`get_all_operator_schema`).
 */

/** Of the domain `com.microsoft`, by the release that introduced them; the first row is what 1.19 has. */
const contributed: readonly (readonly [version: string, operators: string])[] = [
  [
    '1.19',
    `Attention AttnLSTM BeamSearch BiasAdd BiasDropout BiasGelu BiasSoftmax BiasSplitGelu BifurcationDetector
     BitmaskBiasDropout BitmaskDropout CDist ComplexMul ComplexMulConj ConvTransposeWithDynamicPads CropAndResize
     DecoderAttention DecoderMaskedMultiHeadAttention DecoderMaskedSelfAttention DequantizeBFP DequantizeLinear
     DequantizeWithOrder DynamicQuantizeLSTM DynamicQuantizeMatMul DynamicTimeWarping EPContext
     EmbedLayerNormalization ExpandDims FastGelu FusedConv FusedGemm FusedMatMul FusedMatMulActivation
     GatedRelativePositionBias GatherND Gelu GemmFastGelu GemmFloat8 GemmaRotaryEmbedding GreedySearch GridSample
     GroupNorm GroupQueryAttention Inverse Irfft IsAllFinite LongformerAttention MatMulBnb4 MatMulFpQ4
     MatMulInteger16 MatMulIntegerToFloat MatMulNBits MaxpoolWithMask MoE MulInteger MultiHeadAttention
     MurmurHash3 NGramRepeatBlock NhwcConv NhwcFusedConv NhwcMaxPool PackedAttention PackedMultiHeadAttention Pad
     QAttention QEmbedLayerNormalization QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearConv
     QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax
     QLinearWhere QMoE QOrderedAttention QOrderedGelu QOrderedLayerNormalization QOrderedLongformerAttention
     QOrderedMatMul QuantizeBFP QuantizeLinear QuantizeWithOrder QuickGelu Range ReduceSumInteger
     RelativePositionBias RemovePadding RestorePadding Rfft RotaryEmbedding SampleOp Sampling SkipGroupNorm
     SkipLayerNormalization SkipSimplifiedLayerNormalization Snpe SparseAttention SparseToDenseMatMul Tokenizer
     TorchEmbedding TransposeMatMul Trilu UnfoldTensor Unique WhisperBeamSearch WordConvEmbedding`,
  ],
  ['1.20', `GatherBlockQuantized`],
  ['1.23', `PagedAttention`],
  ['1.25', `CausalConvWithState LinearAttention`],
  ['1.27', `MatMulNBitsMlp MatMulNBitsQkv`],
  [
    '1.29',
    `GatedAdd GatedRMSNorm LinearAttentionGate MRotaryEmbedding MatMulBlockQuantizedFp4Weight
     MatMulBlockQuantizedFp8Weight`,
  ],
  ['1.30', `EngramGate GatedDeltaNet NGramHashMapping VarlenCausalConvWithState`],
]

/** Kept in the default domain though the standard has no such operator. */
const unofficial = `Affine Crop DisentangledAttention_TRT DynamicSlice EfficientNMS_TRT GRUUnit GivenTensorFill ImageScaler
   MemcpyFromHost MemcpyToHost MultilevelCropAndResize_TRT ParametricSoftplus PyramidROIAlign_TRT Scale ScaledTanh
   SimplifiedLayerNormalization`

const words = (names: string): string[] => names.split(/\s+/)

/** The release an operator came with, by its name as `Node.op` gives it. */
export const ortOperators: ReadonlyMap<string, string> = new Map([
  ...contributed.flatMap(([version, names]) =>
    words(names).map((name) => [`com.microsoft::${name}`, version] as const),
  ),
  ...words(unofficial).map((name) => [name, '1.19'] as const),
])
