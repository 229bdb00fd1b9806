import type { Range, Statistics } from '../../quantize/statistics.ts'

/** Ranges another program calibrated: no channels, no histograms, and whatever its method clipped stays clipped. */
export class ForeignTable {
  /** Whose table it is, in words. */
  readonly source: string
  readonly ranges: ReadonlyMap<string, Range>

  constructor(source: string, ranges: ReadonlyMap<string, Range>) {
    this.source = source
    this.ranges = ranges
  }

  /** Every method gives the range that is there. */
  readonly statistics: Statistics = (name) => {
    const range = this.ranges.get(name)
    return range && { range, channels: undefined, rangeBy: () => range }
  }
}
