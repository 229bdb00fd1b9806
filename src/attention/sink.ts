import type { Column } from './column.ts'
import type { Sink } from './site.ts'

/**
 * The sink that constants of a model stand for. One number is a choice; numbers that differ by head were learned, unless a
 * record says that this program put them there.
 */
export function sinkOfNumbers(values: readonly number[]): Sink {
  if (values.every((s) => s === 0)) return { kind: 'zero' }
  return values.every((s) => s === values[0]) ? { kind: 'constant', value: [...values] } : { kind: 'learned' }
}

/**
 * n columns of logit c weigh as one of logit c + log n. Numbers that differ by head are a parameter when they are joined to
 * the scores (gpt-oss), and the chosen sinks of a Softmax1 when they are the mask of a zero key.
 */
export function columnSink(column: Column): Sink {
  if (!Array.isArray(column.value)) return { kind: 'learned' }
  if (column.value.length > 1 && !column.isKey) return { kind: 'learned' }
  const more = Math.log(column.count ?? 1)
  const value = (column.value as readonly number[]).map((c) => c + more)
  return value.every((s) => s === 0) ? { kind: 'zero' } : { kind: 'constant', value }
}
