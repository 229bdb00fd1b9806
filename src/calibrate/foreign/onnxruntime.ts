import type { Range } from '../../quantize/statistics.ts'
import { ForeignTable } from './foreign-table.ts'

/**
 * The `calibration.json` of ONNX Runtime's `write_calibration_table`: `lowest` and `highest` of every tensor, as numbers or
 * as encoded numpy arrays; older versions wrote pairs. Undefined when the JSON is something else.
 */
export function onnxruntimeJson(json: unknown): ForeignTable | undefined {
  const tensors = isObject(json) && isObject(json.data) && json.CLS === 'TensorsData' ? json.data : json
  if (!isObject(tensors)) return undefined
  const ranges = Object.entries(tensors).map(([name, entry]) => [name, rangeOf(entry)] as const)
  const whole = ranges.filter((entry): entry is readonly [string, Range] => entry[1] !== undefined)
  if (whole.length === 0 || whole.length < ranges.length) return undefined
  return new ForeignTable('ONNX Runtime, calibration.json', new Map(whole))
}

/**
 * The `calibration.cache` of ONNX Runtime: lines of a name, a space, and the largest magnitude. Undefined when the text is
 * something else.
 */
export function onnxruntimeCache(text: string): ForeignTable | undefined {
  const lines = text.split(/\r?\n/).filter((line) => line !== '')
  const ranges = new Map<string, Range>()
  for (const line of lines) {
    const [, name, number] = /^(.*) ([-+.\deE]+)$/.exec(line) ?? []
    const most = Math.abs(Number(number))
    if (name === undefined || !Number.isFinite(most)) return undefined
    ranges.set(name, { min: -most, max: most })
  }
  return ranges.size === 0 ? undefined : new ForeignTable('ONNX Runtime, calibration.cache', ranges)
}

function rangeOf(entry: unknown): Range | undefined {
  const [low, high] = Array.isArray(entry) ? entry : isObject(entry) ? [entry.lowest, entry.highest] : []
  const [least, most] = [numbersIn(low), numbersIn(high)]
  if (least.length === 0 || most.length === 0) return undefined
  return { min: Math.min(...least), max: Math.max(...most) }
}

/** A number, or the numbers of an array as `{ "data": ... }` or as it is. */
function numbersIn(value: unknown): number[] {
  if (typeof value === 'number') return [value]
  if (Array.isArray(value)) return value.flatMap(numbersIn)
  return isObject(value) ? numbersIn(value.data) : []
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
