import type { Pass } from '../src/rewrite/index.ts'
import { lowerSoftmax1 } from './lower-softmax1.ts'
import { softmaxToSoftmax1 } from './softmax-to-softmax1.ts'

/** Every pass, in order, by stage: recognize, hopfield, adapt, quantize, lower. */
export const passes: readonly Pass[] = [
  // hopfield
  softmaxToSoftmax1,
  // lower
  lowerSoftmax1,
]
