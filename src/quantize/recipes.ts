/**
 * What is made of the weights and the activations: both s8 and u8, by ranges of calibration (`int8`) or of each run
 * (`int8-dynamic`), or weights alone, in blocks.
 */
export const recipes = ['int8', 'int8-dynamic', 'weights-int8', 'weights-int4'] as const
export type Recipe = (typeof recipes)[number]

/** Published ways to quantize, reproduced as they are. */
export const protocols = ['outeffhop'] as const
export type Protocol = (typeof protocols)[number]
