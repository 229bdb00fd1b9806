/** Whole attention steps as one operator: how a block becomes one, and the forms it is lowered to. */
export { formBlock, headsInside } from './form-block.ts'
export { blockForms, lowerHopfield } from './lower.ts'
export { isHopfield } from './node.ts'
export { operatorOf, partsOfBlock } from './parts.ts'
