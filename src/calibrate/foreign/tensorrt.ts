import type { Range } from '../../quantize/statistics.ts'
import { ForeignTable } from './foreign-table.ts'

/**
 * A TensorRT calibration cache: a line `TRT-8601-EntropyCalibration2`, then lines of a name and the scale as the bits of a
 * float in hexadecimal; 127 scales are the largest magnitude. Undefined when the text is something else.
 */
export function tensorrtCache(text: string): ForeignTable | undefined {
  const [head = '', ...lines] = text.split(/\r?\n/)
  if (!/^TRT-\d+-\w+$/.test(head)) return undefined
  const ranges = new Map<string, Range>()
  for (const line of lines.filter((line) => line !== '')) {
    const [, name, bits] = /^(.*): ([\da-fA-F]{8})$/.exec(line) ?? []
    if (name === undefined || bits === undefined) return undefined
    const most = 127 * Buffer.from(bits, 'hex').readFloatBE()
    ranges.set(name, { min: -most, max: most })
  }
  return ranges.size === 0 ? undefined : new ForeignTable(`TensorRT, ${head}`, ranges)
}
