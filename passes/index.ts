import type { Pass } from '../src/rewrite/index.ts'
import { addZeroKey } from './add-zero-key.ts'
import { checkTarget } from './check-target.ts'
import { correctSoftmaxBias } from './correct-softmax-bias.ts'
import { expandAttention } from './expand-attention.ts'
import { foldAffineAfterConv } from './fold-affine-after-conv.ts'
import { foldAffineBeforeConv } from './fold-affine-before-conv.ts'
import { foldHeadScale } from './fold-head-scale.ts'
import { formHardSigmoid } from './form-hard-sigmoid.ts'
import { formHopfieldBlocks } from './form-hopfield-blocks.ts'
import { insertQdq } from './insert-qdq.ts'
import { lowerHopfieldAttention } from './lower-hopfield-attention.ts'
import { lowerPrecision } from './lower-precision.ts'
import { lowerSoftmax1 } from './lower-softmax1.ts'
import { quantizeAsPublished } from './quantize-as-published.ts'
import { quantizeAttention } from './quantize-attention.ts'
import { quantizeConvolutionInputs } from './quantize-convolution-inputs.ts'
import { quantizeConvolutions } from './quantize-convolutions.ts'
import { quantizeDynamically } from './quantize-dynamically.ts'
import { quantizeEmbeddings } from './quantize-embeddings.ts'
import { quantizeWeightBlocks } from './quantize-weight-blocks.ts'
import { quantizeWeights } from './quantize-weights.ts'
import { raiseOpset } from './raise-opset.ts'
import { recognizeSoftmax1 } from './recognize-softmax1.ts'
import { setSmoothSoftmax } from './set-smooth-softmax.ts'
import { smoothActivations } from './smooth-activations.ts'
import { softmaxToSoftmax1 } from './softmax-to-softmax1.ts'

/** Every pass, in order, by stage: recognize, hopfield, adapt, quantize, lower. */
export const passes: readonly Pass[] = [
  // recognize
  recognizeSoftmax1,
  expandAttention,
  // hopfield
  foldHeadScale,
  softmaxToSoftmax1,
  setSmoothSoftmax,
  addZeroKey,
  formHopfieldBlocks,
  // adapt
  raiseOpset,
  foldAffineAfterConv,
  formHardSigmoid,
  foldAffineBeforeConv,
  smoothActivations,
  // quantize
  insertQdq,
  quantizeAsPublished,
  correctSoftmaxBias,
  quantizeWeights,
  quantizeDynamically,
  quantizeWeightBlocks,
  quantizeConvolutions,
  quantizeConvolutionInputs,
  quantizeAttention,
  quantizeEmbeddings,
  // lower
  lowerHopfieldAttention,
  lowerSoftmax1,
  lowerPrecision,
  checkTarget,
]
