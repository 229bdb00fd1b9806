/** What a quantized model is made with: statistics, ranges, arithmetic on weights, and which products are quantized. */
export type { Affine } from './affine.ts'
export { roundEven, signedScale, unsignedAffine, weightLimit } from './affine.ts'
export type { BlockFormat } from './blocks.ts'
export { blockScales, packedBlocks } from './blocks.ts'
export type { RecipeName } from './candidates.ts'
export { candidates, choicesOf, clips, isRecipeName, recipeNames } from './candidates.ts'
export type { ColumnSource } from './columns.ts'
export { columnsBehind, isPrivate } from './columns.ts'
export type { Convolutions, WeightConvolution } from './convolutions.ts'
export { findConvolutions } from './convolutions.ts'
export type { ProductGroup } from './eligible.ts'
export { groupsToQuantize } from './eligible.ts'
export { headColumnsOf, headRowsOf } from './heads.ts'
export { contract, largestMagnitude, quantized, quantizedWhole, scaled, transposed } from './matrix.ts'
export type { ChannelAffine } from './norm.ts'
export { channelAffineOf } from './norm.ts'
export type { WeightProduct } from './products.ts'
export { findProducts } from './products.ts'
export type { PublishedPoints, StoredWeight } from './published-points.ts'
export { extremesOf, publishedPoints } from './published-points.ts'
export type {
  Origin,
  ProductReport,
  QuantizationSettings,
  Quantizer,
  RoundingMeans,
} from './quantization.ts'
export { defaultSettings, Quantization } from './quantization.ts'
export type { Recipe } from './recipes.ts'
export { protocols } from './recipes.ts'
export type { Migration } from './smoothing.ts'
export { migrationOf } from './smoothing.ts'
export type { ChannelStatistics, Range, RangeMethod, Statistics, ValueStatistics } from './statistics.ts'
export { visibleRange } from './visible.ts'
