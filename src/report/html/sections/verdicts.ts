import type { SiteEntry } from '../../document.ts'
import { fullName } from '../../groups.ts'
import type { Markup } from '../markup.ts'
import { html } from '../markup.ts'
import { figure } from '../numbers.ts'
import type { Section } from '../section.ts'
import { table } from '../table.ts'

export const verdicts: Section = {
  id: 'verdicts',
  title: 'Every softmax',
  missing: (model) => `outeffhop-convert report ${model}`,
  body({ verdicts }) {
    if (verdicts === null) return undefined
    const { sites, counts, sink } = verdicts
    const { converted, already, left, review } = counts
    return html`<p>${sites.length} in all: ${converted} converted to Softmax1, ${already} Softmax1 already, ${left} left as
found, ${review} to review. Sinks: ${sink}.</p>
${table({
  id: 'sites',
  caption: 'Verdict on every softmax, and why',
  rows: sites,
  filter: { label: 'Outcome', column: 1 },
  columns: [
    { title: 'Node', of: fullName, show: (site) => html`<code>${fullName(site)}</code>` },
    { title: 'Outcome', of: outcome, show: painted },
    { title: 'Verdict', of: ({ verdict }) => verdict },
    { title: 'Form', of: ({ form }) => form ?? '' },
    { title: 'Sink', of: sinkOf, show: (site) => sinkWords(site) },
    { title: 'Operator', of: ({ spelling }) => spelling },
    { title: 'Reason', of: why },
  ],
})}`
  },
}

function outcome({ converted, verdict }: SiteEntry): string {
  if (converted) return 'converted'
  if (verdict === 'already-softmax1') return 'softmax1'
  if (verdict === 'review') return 'review'
  return verdict === 'rejected' || verdict === 'learned-sink' ? 'left alone' : 'not converted'
}

function painted(site: SiteEntry): Markup {
  const word = outcome(site)
  const colour = word === 'converted' || word === 'softmax1' ? 'good' : word === 'left alone' ? '' : 'warn'
  return html`<span class="verdict ${colour}">${word}</span>`
}

/** The lowest of a site: the one nearest to plain softmax. */
function sinkOf({ sink }: SiteEntry): number | null {
  if (typeof sink === 'number' || sink === null) return sink
  const known = sink.filter((x) => x !== null)
  return known.length === 0 ? null : Math.min(...known)
}

function sinkWords(site: SiteEntry): string {
  const { sink } = site
  if (typeof sink === 'number' || sink === null) return figure(sink)
  const known = sink.filter((x) => x !== null)
  return known.length === 0 ? '–' : `${figure(Math.min(...known))} to ${figure(Math.max(...known))}`
}

function why({ converted, formReason, message, notes }: SiteEntry): string {
  return [converted ? (formReason ?? message) : message, ...notes].join('; ')
}
