import type { CalibrationDocument, HeadEntry, SiteCalibration } from './calibration.ts'
import type { ReportDocument, SiteEntry } from './document.ts'
import type { AttentionHead, AttentionPart } from './model-report.ts'

/** What calibration says of the heads, with the sinks that the sites were given. Null where attention was not observed. */
export function attentionOf(
  run: ReportDocument | undefined,
  calibration: CalibrationDocument | undefined,
): AttentionPart | null {
  const all = run?.calibration?.sites ?? calibration?.sites ?? []
  const observed = all.filter(({ unobserved }) => unobserved === null)
  if (observed.length === 0) return null
  const given = new Map(run?.sites.map((site) => [keyOf(site), site]))
  return { sites: observed.map((site) => ({ ...site, heads: headsOf(site, given.get(keyOf(site))) })) }
}

function keyOf({ graph, node }: Pick<SiteEntry, 'graph' | 'node'>): string {
  return `${graph}\n${node}`
}

function headsOf({ heads }: SiteCalibration, site: SiteEntry | undefined): AttentionHead[] {
  return heads.map((head, i) => {
    const given = site?.converted && site.change ? givenTo(site, i) : offered(head)
    return { ...atZero(head), ...given }
  })
}

function atZero({
  rows,
  masked,
  zeroSink,
  logsumexp,
}: HeadEntry): Omit<AttentionHead, 'sink' | 'sinkMass' | 'sinkChange'> {
  const { gate = null, changed = null } = zeroSink ?? {}
  const { low = null, median = null } = logsumexp ?? {}
  return { rows, masked, mass: gate, change: gate === null ? null : 1 - gate, changed, low, median }
}

type Given = Pick<AttentionHead, 'sink' | 'sinkMass' | 'sinkChange'>

function givenTo({ sink, change }: SiteEntry, head: number): Given {
  const own = typeof sink === 'number' || sink === null ? sink : (sink[head] ?? null)
  const mass = change?.heads[head] ?? null
  return { sink: own, sinkMass: mass, sinkChange: mass === null ? null : 1 - mass }
}

function offered({ calibrated }: HeadEntry): Given {
  const { sink = null, gate = null } = calibrated ?? {}
  return { sink, sinkMass: gate, sinkChange: gate === null ? null : 1 - gate }
}
