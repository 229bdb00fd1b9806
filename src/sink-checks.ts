/** What a calibration says of the sites that were converted: what is refused, and what is said of the others. */
import { sinkDrift, sinkUnobserved } from './errors.ts'
import type { ConvertOptions } from './options.ts'
import { ConversionRefused } from './refused.ts'
import type { CalibrationEntry, ReportDocument, SiteCalibration, SiteEntry } from './report/index.ts'

/** Below this mean factor the output of a head is no longer what the model was trained to give. */
const leastGate = 0.97

/** Heads of a model trained with softmax must not fade because nobody looked. Throws {@link ConversionRefused}. */
export function refuseDrift(document: ReportDocument, { acceptDrift }: ConvertOptions): void {
  const { sites, sink, calibration } = document
  if (calibration === undefined) return
  const converted = sites.filter((site) => site.converted)
  const unobserved = converted.filter((site) => site.change === null)
  if (sink === 'calibrated' && unobserved.length > 0) {
    const why = unobserved.map((site) => ({ node: site.node, why: whyUnobserved(site, calibration) }))
    throw new ConversionRefused(sinkUnobserved(why), document)
  }
  if (acceptDrift) return
  const drifting = converted.flatMap(({ node, change }) => {
    const heads = [...(change?.heads ?? []).entries()].filter(([, gate]) => gate < leastGate)
    return heads.length > 0 ? [{ node, heads }] : []
  })
  if (drifting.length > 0) throw new ConversionRefused(sinkDrift(drifting, leastGate), document)
}

function whyUnobserved(site: SiteEntry, { sites }: CalibrationEntry): string {
  return seenOf(site, sites)[0]?.unobserved ?? 'is not in the calibration table'
}

/** A sink that is given to a site nobody looked at is said. */
export function notVerified({ sites }: ReportDocument, entry: CalibrationEntry): ReportDocument['warnings'] {
  return sites
    .filter(({ converted, change }) => converted && change === null)
    .map((site) => ({
      code: 'sink-not-verified',
      message: `what the sink of "${site.node}" changes is not known: it ${whyUnobserved(site, entry)}`,
      at: { node: site.node, graph: site.graph },
    }))
}

/** What was seen of a site, in each call of its function. */
function seenOf({ graph, node }: SiteEntry, sites: readonly SiteCalibration[]): readonly SiteCalibration[] {
  return sites.filter((site) => site.graph === graph && site.node === node)
}

/** A site with a note where it has one sink for calls that were observed one by one. */
export function noted(site: SiteEntry, { sites }: CalibrationEntry): SiteEntry {
  const calls = seenOf(site, sites).length
  if (!site.converted || calls < 2) return site
  return {
    ...site,
    notes: [...site.notes, `its sinks are the lowest that any of ${calls} calls of its function asks for`],
  }
}
