/**
 * What the analysis knows about each operator, one row an operator, keyed as `Node.op` prints it.
 *
 * CONTRIBUTOR NOTES: a spelling of attention that is not found usually stops at an operator that has no row or the wrong
 * `passage`; the verdict's message names it. Operators that only feed shape computations need `shape` and `content` alone.
 */
import * as axes from './axes.ts'
import * as contents from './contents.ts'
import * as cuts from './cut-shapes.ts'
import * as fused from './fused-shapes.ts'
import type { OpRecord } from './records.ts'
import * as shapes from './shapes.ts'
import * as windows from './window-shapes.ts'

const unary: OpRecord = { passage: 'arithmetic', axes: axes.same(), shape: shapes.like() }
const binary: OpRecord = { passage: 'arithmetic', axes: axes.broadcast(), shape: shapes.broadcastShape() }
const commutative: OpRecord = { ...binary, commutes: true }
const compare: OpRecord = { shape: shapes.broadcastShape() }
const activation: OpRecord = { passage: 'feature', axes: axes.same(), shape: shapes.like() }
const normalisation: OpRecord = { passage: 'normalise', axes: axes.first, shape: shapes.likeFirst }
const skip: OpRecord = { ...normalisation, axes: axes.broadcast([0, 1]), shape: fused.skipShape }
const reduction: OpRecord = { passage: 'feature', axes: axes.reduce, shape: shapes.reduceShape }
const contraction: OpRecord = { shape: shapes.productShape }
const packed: OpRecord = { shape: shapes.packedProductShape }
const convolution: OpRecord = { shape: windows.convShape }
const pooling: OpRecord = { passage: 'feature', axes: axes.spatial, shape: windows.poolShape }
const scatter: OpRecord = { passage: 'arithmetic', axes: axes.scattered, shape: shapes.likeFirst }
const quantizedBinary: OpRecord = {
  passage: 'arithmetic',
  axes: axes.broadcast([0, 3]),
  commutes: true,
  shape: shapes.broadcastShape([0, 3]),
}
const recurrent: OpRecord = { shape: windows.recurrentShape }
const random: OpRecord = { shape: shapes.likeFirst, constant: 'always' }

const rows: Record<string, OpRecord> = {
  // Layout
  Identity: { passage: 'layout', axes: axes.same(), shape: shapes.like(), content: contents.passContent },
  Dropout: { passage: 'layout', axes: axes.first, shape: shapes.like(), content: contents.passContent },
  Cast: { passage: 'layout', axes: axes.same(), shape: shapes.like(), content: contents.castContent },
  CastLike: { passage: 'layout', axes: axes.same(), shape: shapes.like(), content: contents.passContent },
  Transpose: {
    passage: 'layout',
    axes: axes.transpose,
    shape: shapes.transposeShape,
    content: contents.transposeContent,
  },
  Reshape: { passage: 'layout', axes: axes.reshape, shape: shapes.reshapeShape, content: contents.passContent },
  Flatten: { passage: 'layout', axes: axes.reshape, shape: shapes.flattenShape, content: contents.passContent },
  Squeeze: { passage: 'layout', axes: axes.squeeze, shape: shapes.squeezeShape, content: contents.passContent },
  Unsqueeze: { passage: 'layout', axes: axes.unsqueeze, shape: shapes.unsqueezeShape, content: contents.passContent },
  Expand: { passage: 'layout', axes: axes.expand, shape: shapes.expandShape, content: contents.expandContent },
  Tile: { passage: 'layout', axes: axes.expand, shape: shapes.tileShape },
  Slice: { passage: 'layout', axes: axes.same(), shape: cuts.sliceShape, content: contents.sliceContent },
  Pad: { passage: 'layout', axes: axes.same(), shape: cuts.padShape },
  Split: { passage: 'layout', axes: axes.same(), shape: shapes.splitShape },
  SplitToSequence: {},
  Concat: { passage: 'layout', axes: axes.concat, shape: shapes.concatShape, content: contents.concatContent },
  Gather: { passage: 'layout', axes: axes.gather, shape: shapes.gatherShape, content: contents.gatherContent },
  GatherElements: { passage: 'layout', axes: axes.loose, shape: shapes.like(1) },
  GatherND: { passage: 'feature', axes: axes.loose, shape: shapes.gatherNdShape },
  ScatterND: scatter,
  ScatterElements: scatter,
  Scatter: scatter,
  Trilu: unary,
  QuantizeLinear: { passage: 'layout', axes: axes.same(), shape: shapes.like() },
  DequantizeLinear: { passage: 'layout', axes: axes.same(), shape: shapes.like() },
  DynamicQuantizeLinear: { passage: 'layout', axes: axes.first, shape: shapes.likeFirst },
  'com.microsoft::QuantizeLinear': { passage: 'layout', axes: axes.same(), shape: shapes.like() },
  'com.microsoft::DequantizeLinear': { passage: 'layout', axes: axes.same(), shape: shapes.like() },
  DepthToSpace: { passage: 'feature', shape: shapes.rankOfFirst },
  SpaceToDepth: { passage: 'feature', shape: shapes.rankOfFirst },

  // Arithmetic between scores and softmax
  Add: { ...commutative, content: contents.add },
  Sub: { ...binary, content: contents.subtract },
  Mul: { ...commutative, content: contents.multiply },
  Div: { ...binary, content: contents.divide },
  Max: { ...commutative, content: contents.maximum },
  Min: { ...commutative, content: contents.minimum },
  Sum: commutative,
  Mean: { ...commutative, passage: 'feature' },
  Where: {
    passage: 'arithmetic',
    axes: axes.broadcast([1, 2]),
    shape: shapes.broadcastShape(),
    content: contents.whereContent,
  },
  Neg: { ...unary, content: contents.unary((x) => -x) },
  Clip: unary,
  Tanh: unary,
  'com.microsoft::QLinearAdd': quantizedBinary,
  'com.microsoft::QLinearMul': quantizedBinary,

  // Normalisation
  LayerNormalization: normalisation,
  RMSNormalization: normalisation,
  SimplifiedLayerNormalization: normalisation,
  'com.microsoft::SimplifiedLayerNormalization': normalisation,
  'com.microsoft::SkipLayerNormalization': skip,
  'com.microsoft::SkipSimplifiedLayerNormalization': skip,
  'com.microsoft::EmbedLayerNormalization': { shape: fused.embedShape },
  BatchNormalization: normalisation,
  InstanceNormalization: normalisation,
  GroupNormalization: normalisation,
  'com.microsoft::GroupNorm': normalisation,
  LpNormalization: normalisation,
  MeanVarianceNormalization: normalisation,
  LRN: normalisation,
  Softmax: { ...normalisation, passage: 'feature' },
  LogSoftmax: { ...normalisation, passage: 'feature' },
  Hardmax: { ...normalisation, passage: 'feature' },
  'com.microsoft::BiasSoftmax': { ...normalisation, passage: 'feature' },
  'com.microsoft::QLinearSoftmax': { ...normalisation, passage: 'feature' },
  'outeffhop::Softmax1': { ...normalisation, passage: 'feature' },

  // Contractions
  MatMul: contraction,
  Gemm: contraction,
  Einsum: contraction,
  MatMulInteger: contraction,
  QLinearMatMul: contraction,
  'com.microsoft::FusedMatMul': contraction,
  'com.microsoft::TransposeMatMul': contraction,
  'com.microsoft::FusedMatMulActivation': contraction,
  'com.microsoft::MatMulIntegerToFloat': contraction,
  'com.microsoft::DynamicQuantizeMatMul': contraction,
  'com.microsoft::MatMulInteger16': contraction,
  'com.microsoft::GemmFastGelu': contraction,
  'com.microsoft::FusedGemm': contraction,
  'com.microsoft::QGemm': contraction,
  'com.microsoft::GemmFloat8': contraction,
  'com.microsoft::MatMulNBits': packed,
  'com.microsoft::MatMulBnb4': packed,
  'com.microsoft::MatMulFpQ4': packed,
  Conv: convolution,
  ConvTranspose: convolution,
  ConvInteger: convolution,
  QLinearConv: { shape: shapes.rankOfFirst },
  'com.microsoft::FusedConv': convolution,
  'com.microsoft::QLinearConv': { shape: shapes.rankOfFirst },
  LSTM: recurrent,
  GRU: recurrent,
  RNN: recurrent,

  // Fused attention
  Attention: { shape: fused.onnxAttentionShape },
  'com.microsoft::Attention': { shape: fused.mergedAttentionShape },
  'com.microsoft::MultiHeadAttention': { shape: fused.multiHeadShape },
  'com.microsoft::GroupQueryAttention': { shape: fused.groupQueryShape },

  // Pooling and resizing
  AveragePool: pooling,
  MaxPool: pooling,
  LpPool: pooling,
  GlobalAveragePool: pooling,
  GlobalMaxPool: pooling,
  Resize: pooling,
  Upsample: pooling,
  GridSample: { shape: shapes.rankOfFirst },

  // Reductions
  ReduceSum: { ...reduction, passage: 'arithmetic' },
  ReduceMean: { ...reduction, passage: 'arithmetic' },
  ReduceMax: reduction,
  ReduceMin: reduction,
  ReduceProd: { ...reduction, content: contents.productContent },
  ReduceL1: reduction,
  ReduceL2: reduction,
  ReduceSumSquare: reduction,
  ReduceLogSum: reduction,
  ReduceLogSumExp: reduction,
  ArgMax: { shape: shapes.reduceShape },
  ArgMin: { shape: shapes.reduceShape },
  CumSum: { passage: 'feature', axes: axes.first, shape: shapes.likeFirst },

  // Activations and other elementwise functions
  Relu: activation,
  LeakyRelu: activation,
  PRelu: { ...activation, axes: axes.first, shape: shapes.likeFirst },
  Elu: activation,
  Selu: activation,
  Celu: activation,
  ThresholdedRelu: activation,
  Sigmoid: activation,
  HardSigmoid: activation,
  HardSwish: activation,
  Swish: activation,
  Softplus: activation,
  Softsign: activation,
  Mish: activation,
  Gelu: activation,
  Erf: activation,
  'com.microsoft::Gelu': activation,
  'com.microsoft::FastGelu': { ...activation, axes: axes.first },
  'com.microsoft::BiasGelu': { ...activation, axes: axes.first },
  'com.microsoft::QuickGelu': activation,
  'com.microsoft::RotaryEmbedding': { ...activation, axes: axes.first, shape: shapes.likeFirst },
  RotaryEmbedding: { ...activation, axes: axes.first, shape: shapes.likeFirst },
  Exp: { ...activation, content: contents.unary(Math.exp) },
  Log: { ...activation, content: contents.unary(Math.log) },
  Sqrt: { ...activation, content: contents.unary(Math.sqrt) },
  Reciprocal: { ...activation, content: contents.unary((x) => 1 / x) },
  Abs: { ...activation, content: contents.unary(Math.abs) },
  Sign: activation,
  Floor: { ...activation, content: contents.unary(Math.floor) },
  Ceil: { ...activation, content: contents.unary(Math.ceil) },
  Round: activation,
  Sin: activation,
  Cos: activation,
  Pow: { passage: 'feature', axes: axes.broadcast(), shape: shapes.broadcastShape(), content: contents.power },
  Mod: { shape: shapes.broadcastShape(), content: contents.remainder },
  FastGelu: activation,

  // Comparisons and logic
  Equal: { ...compare, commutes: true, content: contents.equal },
  Greater: compare,
  GreaterOrEqual: compare,
  Less: compare,
  LessOrEqual: compare,
  And: { ...compare, commutes: true },
  Or: { ...compare, commutes: true },
  Xor: { ...compare, commutes: true },
  Not: { passage: 'feature', axes: axes.same(), shape: shapes.like() },
  IsNaN: { shape: shapes.like() },
  IsInf: { shape: shapes.like() },

  // Constants and sizes
  Constant: { constant: 'always', shape: shapes.constantShape, content: contents.constantContent },
  Shape: { constant: 'always', shape: shapes.shapeOfShape, content: contents.shapeContent },
  Size: { constant: 'always', shape: () => [], content: contents.sizeContent },
  ConstantOfShape: { constant: 'always', shape: shapes.shapeFromContent, content: contents.constantOfShapeContent },
  Range: { shape: shapes.rangeShape, content: contents.rangeContent },
  EyeLike: random,
  RandomNormalLike: random,
  RandomUniformLike: random,
  OneHot: { shape: shapes.oneHotShape },
  NonZero: {},
  TopK: { passage: 'arithmetic', axes: axes.chosen, shape: shapes.rankOfFirst },
}

export const table: ReadonlyMap<string, OpRecord> = new Map(Object.entries(rows))
