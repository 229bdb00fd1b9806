import { dtypes } from '../ir/index.ts'
import type { Target } from './target.ts'
import { tensorrtFusion } from './tensorrt-fusion.ts'
import { checkQdq } from './tensorrt-qdq.ts'
import { tensorrtTraps } from './tensorrt-traps.ts'

/**
 * Operators of the standard that the parser does not import.
 *
 * Source: every operator of the Python package onnx 1.22, asked of the ONNX parser of TensorRT-RTX 1.7.1
 * (`OnnxParser.supports_operator`), which is of the same family as that of TensorRT 11.
 */
const notImported = `AffineGrid Bernoulli BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CenterCropPad Col2Im Compress
  ConcatFromSequence ConvInteger CumProd DFT DeformConv Det DynamicQuantizeLinear ImageDecoder MatMulInteger MaxRoiPool
  MaxUnpool MelWeightMatrix Multinomial NegativeLogLikelihoodLoss Optional OptionalGetElement OptionalHasElement
  QLinearConv QLinearMatMul RegexFullMatch SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert
  SequenceLength SequenceMap SoftmaxCrossEntropyLoss SplitToSequence StringConcat StringNormalizer StringSplit SwiGLU
  TfIdfVectorizer Unique`

/** NVIDIA TensorRT, by its ONNX parser. */
export const tensorrt: Target = {
  name: 'tensorrt',
  summary: 'NVIDIA TensorRT, by its ONNX parser.',
  defaultVersion: '10.15',
  domains: [],
  operators: new Map(),
  attributes: [],
  lacks: new Set(notImported.split(/\s+/)),
  // Read in its support matrix: BOOL, FLOAT, FLOAT16, BFLOAT16, FLOAT8E4M3FN, FLOAT4E2M1, INT4, INT8, UINT8, INT32 and INT64.
  // DOUBLE is cast to FLOAT, with a loss.
  refusedTypes: [
    ...[dtypes.complex64, dtypes.complex128, dtypes.string],
    ...[dtypes.int16, dtypes.uint16, dtypes.uint32, dtypes.uint64, dtypes.uint4],
    ...[dtypes.float8e4m3fnuz, dtypes.float8e5m2, dtypes.float8e5m2fnuz],
  ],
  // Read in the documents of the parser: opset 24 in 10.15, 25 from 11.5 on.
  opsets: [
    [25, '11.5'],
    [0, '10.15'],
  ],
  irVersions: [],
  newest: { opset: 25, irVersion: 13 },
  quantized: 'explicit',
  fused: [],
  build: {
    traps: tensorrtTraps,
    checkQdq,
    // One node of each was built with TensorRT-RTX 1.7.1, whose parser looks operators up without their domain; Attention and
    // RotaryEmbedding are misread, and for GroupQueryAttention, MatMulNBits and QMoE it wants plugins.
    contributed: 'DequantizeLinear Gelu MultiHeadAttention Pad QuantizeLinear SkipSimplifiedLayerNormalization Trilu'
      .split(' ')
      .map((name) => `com.microsoft::${name}`),
    fusion: tensorrtFusion,
    undivided: ['Attention'],
    command: ['trtexec', '--stronglyTyped', '--profilingVerbosity=detailed', '--dumpLayerInfo'],
    kernels: ['_gemm_mha', '_gemv_mha'],
  },
  forms: [
    {
      form: 'zero-key',
      summary: 'A zero key and a zero value in front of the others, in plain operators.',
      conditions: { sink: 'any', mask: true },
      edge: 'start',
      source:
        'Built with TensorRT-RTX 1.7.1 for SM 8.0: MatMul, Softmax and MatMul stay as they are, and so does the fused attention kernel in fp16 and bf16; scores that are padded, or a decomposed softmax, lose it.',
    },
    {
      form: 'plugin',
      summary:
        'One HopfieldAttention node that a plugin takes where one is loaded; a model-local function is its body.',
      conditions: { opset: 15, sink: 'any', mask: true, onRequest: true },
      source:
        'Read in the parser: from 10.15 on a node with the attribute plugin_namespace is given to a plugin of its name, else expanded by the model-local function.',
    },
    {
      form: 'primitives',
      summary: 'Softmax1 spelled with ReduceMax, Exp, ReduceSum and Div.',
      conditions: { sink: 'any', mask: true },
      source: 'Parsed and built with TensorRT-RTX 1.7.1; fused attention is lost where lengths are dynamic.',
    },
  ],
}
