import type { SkippedSample } from '../data/index.ts'
import { calibrationUnlike } from '../errors.ts'
import type { ChannelsSum } from './observers/channels.ts'
import { addChannels, noChannels } from './observers/channels.ts'
import type { HistogramSum } from './observers/histogram.ts'
import { addHistogram, noElements } from './observers/histogram.ts'
import type { HeadRowsSum } from './observers/logsumexp.ts'
import { addHeadRows, noRows } from './observers/logsumexp.ts'
import type { Moments } from './observers/moments.ts'
import { mergeMoments } from './observers/moments.ts'
import type { RangesSum } from './observers/ranges.ts'
import { addRanges, noRanges } from './observers/ranges.ts'
import type { Sight, SiteName, SiteState, ValueState } from './table.ts'

/** What was seen in all samples that are added, the same whatever their order and division. */
export class SightSum implements Sight {
  readonly samples: number[] = []
  readonly skipped: SkippedSample[] = []
  readonly values = new Map<string, ValueSum>()
  readonly sites: SiteSum[] = []
  readonly #bySite = new Map<string, SiteSum>()

  /**
   * Adds what was seen in other samples; the part is left as it is. Throws `calibration-unlike` where it saw attention that
   * the others did not: an older version observed less of it.
   */
  add({ samples, skipped, values, sites }: Sight): void {
    const both = this.samples.length > 0 && samples.length > 0
    if (both && (sites.length !== this.sites.length || sites.some((site) => !this.#bySite.has(keyOf(site)))))
      throw calibrationUnlike('a version that observes other attention')
    addInOrder(this.samples, samples, (a, b) => a - b)
    addInOrder(this.skipped, skipped, (a, b) => a.index - b.index)
    for (const [name, part] of values) {
      const sum = this.values.get(name) ?? new ValueSum()
      sum.add(part)
      this.values.set(name, sum)
    }
    for (const part of sites) {
      const { logsumexp } = this.#siteOf(part)
      for (const [head, rows] of part.logsumexp.entries()) {
        logsumexp[head] = addHeadRows(logsumexp[head] ?? noRows, rows)
      }
    }
  }

  #siteOf(part: SiteState): SiteSum {
    const key = keyOf(part)
    const known = this.#bySite.get(key)
    if (known) return known
    const sum = { ...part, logsumexp: part.logsumexp.map(() => noRows) }
    this.#bySite.set(key, sum)
    this.sites.push(sum)
    return sum
  }
}

function keyOf({ graph, output, call }: SiteName): string {
  return [graph, output, call].join('\n')
}

interface SiteSum extends SiteState {
  readonly logsumexp: HeadRowsSum[]
}

class ValueSum implements ValueState {
  ranges: RangesSum = noRanges()
  notFinite = 0
  channels: ChannelsSum | undefined
  histogram: HistogramSum | undefined
  moments: Moments | undefined

  add({ ranges, notFinite, channels, histogram, moments }: ValueState): void {
    this.ranges = addRanges(this.ranges, ranges)
    this.notFinite += notFinite
    if (channels) this.channels = addChannels(this.channels ?? noChannels(channels), channels)
    if (histogram) this.histogram = addHistogram(this.histogram ?? noElements, histogram)
    if (moments) this.moments = this.moments === undefined ? moments : mergeMoments(this.moments, moments)
  }
}

/** Most often what is added only goes on where the list ends. */
function addInOrder<T>(list: T[], more: readonly T[], order: (a: T, b: T) => number): void {
  const [last, next] = [list.at(-1), more[0]]
  for (const item of more) list.push(item)
  if (last !== undefined && next !== undefined && order(last, next) > 0) list.sort(order)
}
