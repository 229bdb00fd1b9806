import type { Sink } from './site.ts'

/**
 * The sink that constants of a model stand for. One number is a choice; numbers that differ by head were learned, unless a
 * record says that this program put them there.
 */
export function sinkOfNumbers(values: readonly number[]): Sink {
  if (values.every((s) => s === 0)) return { kind: 'zero' }
  return values.every((s) => s === values[0]) ? { kind: 'constant', value: [...values] } : { kind: 'learned' }
}
