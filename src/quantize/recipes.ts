/**
 * What is made of the weights and the activations: both integers of 8 bits, by ranges of calibration (`int8`) or of each run
 * (`int8-dynamic`), both floats of 8 bits (`fp8`), or weights alone, in blocks.
 */
export const recipes = ['int8', 'fp8', 'int8-dynamic', 'weights-int8', 'weights-int4'] as const
export type Recipe = (typeof recipes)[number]

/** Whether activations are quantized by ranges that calibration saw. */
export function isStatic(recipe: Recipe): boolean {
  return recipe === 'int8' || recipe === 'fp8'
}

/** Published ways to quantize, reproduced as they are. */
export const protocols = ['outeffhop'] as const
export type Protocol = (typeof protocols)[number]
