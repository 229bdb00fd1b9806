/** The page of a report: one HTML file that loads nothing and runs nothing but what stands in it. */
import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import type { ModelReport } from '../model-report.ts'
import type { Content, Markup } from './markup.ts'
import { html, Markup as Ready } from './markup.ts'
import { figure, percent } from './numbers.ts'
import { script } from './script.ts'
import type { Section } from './section.ts'
import { attention } from './sections/attention.ts'
import { channels } from './sections/channels.ts'
import { costs } from './sections/costs.ts'
import { environment } from './sections/environment.ts'
import { errors } from './sections/errors.ts'
import { histograms } from './sections/histograms.ts'
import { outliers } from './sections/outliers.ts'
import { quantization } from './sections/quantization.ts'
import { rounding } from './sections/rounding.ts'
import { verdicts } from './sections/verdicts.ts'
import { style } from './style.ts'

const sections: readonly Section[] = [
  ...[verdicts, attention, errors, outliers, histograms, channels, quantization, rounding, costs, environment],
]

/** A report as a page; the same report gives the same bytes. */
export function renderPage(report: ModelReport): string {
  const name = report.model?.path ? basename(report.model.path) : 'model'
  const made = sections.map((section) => ({ ...section, content: section.body(report) }))
  const shown = made.filter(({ content }) => content !== undefined)
  const missing = made.filter(({ content, missing }) => content === undefined && missing !== undefined)
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>${name}: Softmax1 report</title>
<style>${new Ready(style)}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<h1>${name}</h1>
<p class="faint">What outeffhop-convert found, did and measured</p>
<dl class="facts">${facts(report)}</dl>
</header>
<nav aria-label="Contents"><ul>${shown.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav>
<main id="content">
${shown.map(({ id, title, content }) => sectionOf(id, title, content as Markup))}
${missing.length > 0 && sectionOf('missing', 'What this report does not show', gaps(missing, name))}
</main>
<footer>Made by outeffhop-convert${report.environment && ` ${report.environment.tool}`}. This page loads nothing from anywhere.</footer>
<script>${new Ready(script)}</script>
</body>
</html>
`.text
}

const policy = [
  "default-src 'none'",
  `script-src '${hashOf(script)}'`,
  `style-src '${hashOf(style)}'`,
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
].join('; ')

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`
}

function sectionOf(id: string, title: string, content: Content): Markup {
  return html`<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${title}</h2>
${content}
</section>
`
}

function gaps(missing: readonly Section[], name: string): Markup {
  return html`<p>What was not run cannot be shown. These commands give it; documents of several are put together with
<code>outeffhop-convert report</code>.</p>
<dl>${missing.map((section) => html`<dt>${section.title}</dt><dd><code>${section.missing?.(name)}</code></dd>\n`)}</dl>`
}

/** What to see first. */
function facts({ verdicts, attention, errors, outliers, costs, quantization }: ModelReport): Content {
  const pairs: (readonly [string, string])[] = []
  if (verdicts !== null) pairs.push(['Softmaxes converted', `${verdicts.counts.converted} of ${verdicts.counts.sites}`])
  const masses = (attention?.sites ?? []).flatMap(({ heads }) =>
    heads.flatMap(({ mass }) => (mass === null ? [] : [mass])),
  )
  if (masses.length > 0) pairs.push(['Least attention mass at sink 0', figure(Math.min(...masses))])
  const kept = (attention?.sites ?? []).flatMap(({ heads }) => heads.flatMap(({ sinkChange }) => sinkChange ?? []))
  if (kept.length > 0) pairs.push(['Largest predicted change with sinks', percent(Math.max(...kept))])
  const cosines = (errors?.outputs ?? []).flatMap(({ cosine }) => (cosine === null ? [] : [cosine]))
  if (cosines.length > 0) pairs.push(['1 − cosine of outputs', figure(Math.max(0, 1 - Math.min(...cosines)))])
  const kurtosis = (outliers?.layers ?? []).map(({ before }) => before.kurtosis)
  if (kurtosis.length > 0) pairs.push(['Largest kurtosis before', figure(Math.max(...kurtosis))])
  if (quantization !== null)
    pairs.push(['Products quantized', `${quantization.quantized} of ${quantization.quantized + quantization.float}`])
  if (costs.sizeRatio !== null) pairs.push(['Size against the input', percent(costs.sizeRatio)])
  if (costs.latencyRatio !== null) pairs.push(['Time against the input', percent(costs.latencyRatio)])
  return pairs.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)
}
